"""Low-label splits: the official draw, nesting, exact counts, clear errors."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from torch_geometric.data import Data

from grandpp.data import (
    PROTOCOLS,
    count_validation_nodes,
    load_dataset,
    low_label_split,
    low_label_splits,
    sbm,
    split_digest,
    split_notice,
)


@pytest.fixture(scope="module")
def graph():
    return sbm(num_features=20, words_per_node=5.0)


def named(name, n=6000):
    y = torch.arange(n) % 3
    return Data(x=torch.zeros(n, 1), edge_index=torch.empty(2, 0, dtype=torch.long), y=y, name=name)


def nodes(mask):
    return set(mask.nonzero().view(-1).tolist())


def official(y, seed, per_class, development):
    """The rule once more: 'development' nodes by seed, then K per class in label order."""
    pool = list(np.random.RandomState(seed).choice(len(y), development, replace=False))
    again = np.random.RandomState(seed)
    train = []
    for value in sorted(set(y)):
        train += list(again.choice([i for i in pool if y[i] == value], per_class, replace=False))
    return {int(i) for i in train}, {int(i) for i in pool} - {int(i) for i in train}


@pytest.mark.parametrize("seed", [0, 7, 12345])
@pytest.mark.parametrize("per_class", [1, 5, 20])
def test_grand_draws_exactly_as_the_official_rule(graph, seed, per_class):
    split = low_label_split(graph, per_class, seed)
    train, val = official(graph.y.tolist(), seed, per_class, 1500)
    assert nodes(split.train_mask) == train
    assert nodes(split.val_mask) == val
    assert nodes(split.test_mask) == set(range(2485)) - train - val


def test_the_grand_draw_never_changes_between_versions():
    split = low_label_split(named("any", 2000), 1, 0)
    assert nodes(split.train_mask) == {864, 1886, 1954}


def test_grand_uses_a_pool_of_5000_for_coauthor_cs_and_of_1500_else():
    for name, size in (("CoauthorCS", 5000), ("Cora", 1500), ("unheard of", 1500)):
        split = low_label_split(named(name), 2, 0)
        assert int(split.val_mask.sum()) == size - 6
        assert int(split.test_mask.sum()) == 6000 - size


@pytest.mark.parametrize("protocol", PROTOCOLS)
@pytest.mark.parametrize("seed", [0, 3])
def test_training_nodes_of_fewer_labels_are_among_those_of_more(graph, protocol, seed):
    smaller: set[int] = set()
    for per_class in (1, 2, 5, 10, 20):
        train = nodes(low_label_split(graph, per_class, seed, protocol).train_mask)
        assert smaller < train
        smaller = train


@pytest.mark.parametrize("protocol", PROTOCOLS)
@pytest.mark.parametrize("per_class", [1, 20])
def test_the_three_masks_share_all_nodes_with_exact_counts(graph, protocol, per_class):
    split = low_label_split(graph, per_class, 5, protocol)
    masks = torch.stack([split.train_mask, split.val_mask, split.test_mask])
    assert masks.dtype == torch.bool
    pool = 1500 - 7 * per_class
    assert int((masks.sum(dim=0) != 1).sum()) == (pool if protocol == "grand_no_val" else 0)
    assert torch.bincount(graph.y[split.train_mask]).tolist() == [per_class] * 7
    assert int(split.val_mask.sum()) == {"grand": pool, "per_class_val": 210}.get(protocol, 0)


def test_the_pool_without_validation_trains_and_tests_on_the_nodes_of_the_pool(graph):
    validated, unvalidated = (low_label_split(graph, 2, 7, p) for p in ("grand", "grand_no_val"))
    assert torch.equal(validated.train_mask, unvalidated.train_mask)
    assert torch.equal(validated.test_mask, unvalidated.test_mask)
    assert not unvalidated.val_mask.any()


def test_per_class_validation_is_balanced_and_the_same_for_every_number_of_labels(graph):
    first = low_label_split(graph, 1, 2, "per_class_val")
    other = low_label_split(graph, 20, 2, "per_class_val")
    assert torch.equal(first.val_mask, other.val_mask)
    assert torch.bincount(graph.y[first.val_mask]).tolist() == [30] * 7
    few = low_label_split(graph, 1, 2, "per_class_val", val_per_class=4)
    assert torch.bincount(graph.y[few.val_mask]).tolist() == [4] * 7


def test_a_class_may_be_used_up_to_its_last_node():
    data = named("any", 30)
    split = low_label_split(data, 7, 0, "per_class_val", val_per_class=3)
    assert int(split.test_mask.sum()) == 0
    words = r"class 0 has 10 nodes but needs 11 \(8 to train, 3 to validate\); protocol 'no_val'"
    with pytest.raises(ValueError, match=words):
        low_label_split(data, 8, 0, "per_class_val", val_per_class=3)


def test_the_given_graph_is_left_alone_and_its_tensors_are_shared(graph):
    split = low_label_split(graph, 1, 0)
    assert "train_mask" not in graph
    assert split.x.data_ptr() == graph.x.data_ptr()
    assert (split.name, split.num_classes) == ("sbm", 7)


def test_the_global_generator_is_neither_used_nor_changed(graph):
    np.random.seed(0)
    expected = np.random.random()
    np.random.seed(0)
    low_label_split(graph, 1, 99)
    assert np.random.random() == expected


def test_splits_over_seeds_are_those_of_the_single_seeds(graph):
    many = list(low_label_splits(graph, 2, range(3), "grand", num_development=200))
    assert len(many) == 3
    for seed, split in enumerate(many):
        single = low_label_split(graph, 2, seed, num_development=200)
        assert split_digest(split) == split_digest(single)


def test_the_digest_tells_splits_apart_and_is_the_same_for_the_same_split(graph):
    digests = {
        split_digest(low_label_split(graph, per_class, seed, protocol))
        for per_class in (1, 2)
        for seed in (0, 1)
        for protocol in PROTOCOLS
    }
    assert len(digests) == 4 * len(PROTOCOLS)
    assert all(len(digest) == 12 and int(digest, 16) >= 0 for digest in digests)
    assert split_digest(low_label_split(graph, 1, 0)) in digests


def test_the_digest_notices_which_mask_a_node_is_in(graph):
    split = low_label_split(graph, 1, 0)
    before = split_digest(split)
    split.val_mask, split.test_mask = split.test_mask, split.val_mask
    assert split_digest(split) != before


def test_the_digest_of_a_graph_without_masks_is_refused(graph):
    with pytest.raises(ValueError, match="got no 'train_mask'"):
        split_digest(graph)


@pytest.mark.parametrize("value", [0, -1, 1.5, "2", None, True])
def test_a_number_of_labels_that_is_no_positive_integer_is_refused(graph, value):
    with pytest.raises(ValueError, match="'labels_per_class' to be an integer >= 1"):
        low_label_split(graph, value, 0)


def test_numpy_integers_are_integers(graph):
    split = low_label_split(graph, np.int64(2), np.int32(1))
    assert split_digest(split) == split_digest(low_label_split(graph, 2, 1))


@pytest.mark.parametrize("seed", [-1, 0.5, None, 2**32])
def test_a_seed_out_of_range_is_refused(graph, seed):
    with pytest.raises(ValueError, match="'seed' to be an integer"):
        low_label_split(graph, 1, seed)


def test_an_unknown_protocol_is_refused_with_the_choices(graph):
    with pytest.raises(ValueError, match=r"one of \('grand', .*'no_val'.*\(got 'val'\)"):
        low_label_split(graph, 1, 0, "val")


@pytest.mark.parametrize("protocol", PROTOCOLS)
def test_a_class_with_too_few_nodes_is_named_with_what_it_has_and_needs(graph, protocol):
    with pytest.raises(ValueError, match=r"class \d has \d+ nodes .*needs 100"):
        low_label_split(graph, 10_000, 0, protocol)


@pytest.mark.parametrize("size", [34, 100])
def test_a_graph_too_small_for_the_pool_asked_for_is_refused_with_what_to_do(size):
    karate = load_dataset("KarateClub")
    words = rf"more than {size} nodes with a label .*\(got 34 in KarateClub\); use a smaller "
    with pytest.raises(ValueError, match=words + r"num_development or protocol 'no_val' .*"):
        low_label_split(karate, 1, 0, num_development=size)
    low_label_split(karate, 1, 0, "no_val")
    assert int(low_label_split(karate, 1, 0, num_development=24).test_mask.sum()) == 10


def test_the_usual_pool_shrinks_with_a_notice_where_fewer_nodes_have_labels():
    karate = load_dataset("KarateClub")
    split = low_label_split(karate, 1, 0)
    assert int(split.train_mask.sum()) == 4 and int(split.val_mask.sum()) == 16
    assert int(split.test_mask.sum()) == 14
    assert split_notice(karate) == (
        "KarateClub has 34 labelled nodes: the pool of protocol 'grand' has 20 nodes instead of "
        "1500, and 14 are left for the test"
    )
    assert split_notice(karate, "no_val") == split_notice(karate, num_development=24) == ""
    cut = named("CoauthorCS", 4000)
    cut.y[1000:] = -1
    assert "1000 labelled nodes" in split_notice(cut) and "instead of 5000" in split_notice(cut)
    assert int(low_label_split(cut, 1, 0).val_mask.sum()) == 597


def test_a_graph_with_more_labels_than_the_usual_pool_keeps_it():
    assert split_notice(named("any", 1501)) == ""
    assert int(low_label_split(named("any", 1501), 1, 0).test_mask.sum()) == 1
    assert split_notice(named("any", 1500)) != ""


@pytest.mark.parametrize("protocol", PROTOCOLS)
@pytest.mark.parametrize("seed", range(4))
def test_nodes_without_a_known_label_are_in_no_part_of_a_split(protocol, seed):
    data = named("any", 300)
    data.y[torch.randperm(300)[:120]] = -1
    split = low_label_split(data, 3, seed, protocol, num_development=60, val_per_class=5)
    parts = torch.stack([split.train_mask, split.val_mask, split.test_mask])
    assert not parts[:, data.y < 0].any() and int(parts.sum(0).max()) == 1
    assert torch.bincount(data.y[split.train_mask]).tolist() == [3, 3, 3]
    held = {"grand": 51, "per_class_val": 15}.get(protocol, 0)
    unused = 51 if protocol == "grand_no_val" else 0
    assert int(split.val_mask.sum()) == held and int(parts.sum()) == 180 - unused


def test_a_pool_has_to_leave_nodes_with_a_label():
    data = named("any", 300)
    data.y[100:] = -1
    with pytest.raises(ValueError, match=r"more than 100 nodes with a label .*\(got 100 in any\)"):
        low_label_split(data, 1, 0, num_development=100)


def test_a_graph_without_labels_is_refused():
    data = Data(x=torch.zeros(4, 1), edge_index=torch.empty(2, 0, dtype=torch.long))
    with pytest.raises(ValueError, match="a tensor 'y'"):
        low_label_split(data, 1, 0)


@pytest.mark.parametrize("protocol", PROTOCOLS)
def test_validation_nodes_are_counted_without_a_split(graph, protocol):
    for per_class in (1, 20):
        split = low_label_split(graph, per_class, 3, protocol)
        assert count_validation_nodes(graph, per_class, 3, protocol) == int(split.val_mask.sum())


@pytest.mark.parametrize(
    ("per_class", "protocol"),
    [
        (10_000, "grand"),
        (10_000, "no_val"),
        (500, "grand"),
        (0, "no_val"),
        (1, "none"),
        (400, "per_class_val"),
    ],
)
def test_a_split_that_cannot_be_drawn_is_refused_in_the_same_words(graph, per_class, protocol):
    messages = []
    for function in (low_label_split, count_validation_nodes):
        with pytest.raises(ValueError, match=r"expected|class") as error:
            function(graph, per_class, 3, protocol)
        messages.append(str(error.value))
    assert messages[0] == messages[1]


@pytest.mark.parametrize("protocol", PROTOCOLS)
def test_one_class_is_no_classification(protocol):
    data = named("any", 200)
    for y in (torch.zeros(200, dtype=torch.long), torch.where(data.y == 1, 1, -1)):
        data.y = y
        for draw in (low_label_split, count_validation_nodes):
            with pytest.raises(ValueError, match=r"labels of at least two classes \(got one class"):
                draw(data, 1, 0, protocol)


@pytest.mark.parametrize("protocol", PROTOCOLS)
def test_a_class_with_too_few_nodes_is_named(protocol):
    data = named("any", 30)
    data.class_names = ["red", "green", "blue"]
    for draw in (low_label_split, count_validation_nodes):
        with pytest.raises(ValueError, match=r"class 0 \(red\) has"):
            draw(data, 29, 0, protocol)
