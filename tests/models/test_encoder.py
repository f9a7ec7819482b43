"""Dropout and linear maps on sparse features."""

from __future__ import annotations

import torch

from grandpp.models import FeatureEncoder, SparseFeatures, sparse_if_sparse, to_dense
from grandpp.models.encoder import drop_features
from grandpp.models.features import is_csr


def test_encoder_gives_sparse_features_the_values_and_gradients_of_dense_ones(sparse_x):
    encoder = FeatureEncoder(50, 8)
    results = []
    for x in (sparse_x, SparseFeatures.from_dense(sparse_x)):
        encoder.zero_grad()
        y = encoder(x)
        y.pow(2).sum().backward()
        results.append(
            (y.detach(), encoder.linear.weight.grad.clone(), encoder.linear.bias.grad.clone())
        )
    torch.testing.assert_close(results[0], results[1])


def test_dropout_on_sparse_features_has_the_mean_and_variance_of_dense_dropout(sparse_x):
    encoder = FeatureEncoder(50, 8, dropout=0.5)
    with torch.no_grad():
        draws = {}
        for name, x in (("dense", sparse_x), ("sparse", SparseFeatures.from_dense(sparse_x))):
            torch.manual_seed(1)
            draws[name] = torch.stack([encoder(x) for _ in range(4000)])
        encoder.eval()
        exact = encoder(sparse_x)
    torch.testing.assert_close(draws["sparse"].mean(0), exact, rtol=0, atol=0.03)
    torch.testing.assert_close(draws["sparse"].var(0), draws["dense"].var(0), rtol=0.2, atol=0.003)


def test_features_for_pygs_layers_drop_entries_and_keep_zeros(sparse_x):
    sparse = SparseFeatures.from_dense(sparse_x)
    kept = drop_features(sparse, 0.5, training=False)
    assert kept.layout == torch.sparse_csr
    assert torch.equal(kept.to_dense(), sparse_x)
    assert torch.equal(drop_features(sparse_x, 0.5, training=False), sparse_x)
    torch.manual_seed(0)
    dropped = drop_features(sparse, 0.5, training=True).to_dense()
    share = (dropped != 0).sum() / (sparse_x != 0).sum()
    assert 0.3 < share < 0.7
    hit = dropped != 0
    torch.testing.assert_close(dropped[hit], 2 * sparse_x[hit])


def test_an_encoder_without_bias_maps_nothing_to_nothing(sparse_x):
    encoder = FeatureEncoder(50, 8, bias=False)
    for x in (sparse_x, SparseFeatures.from_dense(sparse_x)):
        assert torch.equal(encoder(x)[3], torch.zeros(8))


def test_features_are_sparse_up_to_the_density_where_that_pays_and_in_compressed_rows():
    torch.manual_seed(0)
    for share, sparse in ((0.05, True), (0.12, True), (0.2, True), (0.45, True), (0.6, False)):
        x = torch.rand(100, 100) * (torch.rand(100, 100) < share)
        kept = sparse_if_sparse(x)
        assert isinstance(kept, SparseFeatures) is sparse
        assert torch.equal(to_dense(kept), x)
        as_tensor = drop_features(kept, 0.0, training=True)
        assert is_csr(as_tensor) is (share < 0.15)  # products are sparse
        found = sparse_if_sparse(x.to_sparse_csr())
        assert isinstance(found, SparseFeatures)
        assert torch.equal(to_dense(found), x)
        assert torch.equal(to_dense(x.to_sparse_csr()), x)


def test_features_with_few_zeros_are_dropped_by_entry_and_multiplied_densely():
    torch.manual_seed(0)
    x = torch.rand(300, 40) * (torch.rand(300, 40) < 0.35)
    filled = sparse_if_sparse(x)
    encoder, before = FeatureEncoder(40, 8, dropout=0.25), x.clone()
    torch.testing.assert_close(encoder.eval()(filled), encoder(x))
    dropped = drop_features(filled, 0.25, training=True)
    again = drop_features(filled, 0.25, training=True)
    assert not torch.equal(dropped, again)
    assert torch.equal(x, before)
    hit = dropped != 0
    torch.testing.assert_close(dropped[hit], x[hit] / 0.75)
    assert 0.7 < hit.sum() / (x != 0).sum() < 0.8
    # Two passes before their gradients: each product keeps its own features.
    encoder.train()
    torch.manual_seed(1)
    sum(encoder(filled).square().sum() for _ in range(2)).backward()
    together = encoder.linear.weight.grad.clone()
    encoder.zero_grad()
    torch.manual_seed(1)
    for _ in range(2):
        encoder(filled).square().sum().backward()
    torch.testing.assert_close(encoder.linear.weight.grad, together)


def test_compressed_rows_may_change_their_values_between_two_calls(sparse_x):
    encoder = FeatureEncoder(50, 8)
    rows = sparse_x.to_sparse_csr()
    torch.testing.assert_close(encoder(rows), encoder(sparse_x))
    rows.values().mul_(3.0)
    torch.testing.assert_close(encoder(rows), encoder(3 * sparse_x))


def test_centred_encoder_maps_the_difference_from_the_mean_it_was_fitted_to(sparse_x):
    encoder = FeatureEncoder(50, 8, centred=True)
    plain = encoder(sparse_x)
    mean = sparse_x.mean(dim=0)
    forms = (sparse_x, SparseFeatures.from_dense(sparse_x), sparse_x.to_sparse_csr())
    for x in forms:
        encoder.fit(x)
        torch.testing.assert_close(encoder(x), encoder.linear(sparse_x - mean))
    other = sparse_x.flip(1)  # the centre stays that of the features it was fitted to
    torch.testing.assert_close(encoder(other), encoder.linear(other - mean))
    torch.testing.assert_close(plain, encoder.linear(sparse_x))
    loaded = FeatureEncoder(50, 8, centred=True)
    loaded.load_state_dict(encoder.state_dict())
    torch.testing.assert_close(loaded(other), encoder(other))


def test_an_encoder_without_a_centre_takes_nothing_from_the_features(sparse_x):
    encoder = FeatureEncoder(50, 8)
    before = encoder(sparse_x)
    encoder.fit(sparse_x)
    assert torch.equal(encoder(sparse_x), before)
    assert set(encoder.state_dict()) == {"linear.weight", "linear.bias"}


def test_what_all_nodes_have_in_common_does_not_change_a_centred_encoder(sparse_x):
    encoder = FeatureEncoder(50, 8, centred=True)
    encoder.fit(sparse_x)
    alone = encoder(sparse_x)
    encoder.fit(sparse_x + 3.0)
    torch.testing.assert_close(encoder(sparse_x + 3.0), alone, rtol=1e-4, atol=1e-4)
