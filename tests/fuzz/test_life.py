"""A layer through its life: whatever was done to it, it is a fresh layer of the same parameters."""

from __future__ import annotations

import copy
import io
import pickle
from dataclasses import replace

import dense_reference as dense
import torch
from fuzzing import COUNTS, RUN, assert_near
from hypothesis import seed, settings
from hypothesis import strategies as st
from hypothesis.stateful import (
    RuleBasedStateMachine,
    initialize,
    invariant,
    precondition,
    rule,
    run_state_machine_as_test,
)
from strategies import cases, graphs

SOLVERS = ("exact", "auto", "tsit5, checkpoint", "dopri5, direct", "rk4, adjoint")


class Life(RuleBasedStateMachine):
    """A layer, its graph as the tensors that a user holds, and what the layer should be."""

    @initialize(drawn=cases(graph=graphs(min_nodes=2, max_nodes=4), solvers=SOLVERS))
    def begin(self, drawn):
        COUNTS["test_life::Life"] += 1
        self.choice, self.case = drawn.choice, drawn.case.but(time=min(1.0, drawn.choice.longest))
        self.conv = self.case.build()
        self.x, self.edge_index, self.weight, *trusted = self.case.inputs()
        self.trusted = trusted[0] if trusted else None

    def inputs(self):
        given = (self.x, self.edge_index, self.weight)
        return given if self.trusted is None else (*given, self.trusted)

    @rule(factor=st.sampled_from((0.05, 0.2)))
    def train_a_step(self, factor):
        self.conv.train()
        y = self.conv(*self.inputs())
        loss = (self.case.projection().to(y.dtype) * y).sum().tanh()
        if not loss.requires_grad:
            return
        self.conv.zero_grad()
        loss.backward()
        with torch.no_grad():
            for name, p in self.conv.named_parameters():
                if p.grad is not None:
                    assert bool(p.grad.isfinite().all()), name
                    p -= factor * p.grad.clamp(-1, 1)

    @precondition(lambda self: self.edge_index.numel() > 0)
    @rule(data=st.data())
    def edit_an_edge_in_place(self, data):
        n, edges = len(self.x), self.edge_index.size(1)
        k = data.draw(st.integers(0, edges - 1))
        end = data.draw(st.integers(0, 1))
        self.edge_index[end, k] = data.draw(st.integers(0, n - 1))

    @rule()
    def turn_all_edges_round_in_place(self):
        self.edge_index.copy_(self.edge_index.flip(0))

    @rule(data=st.data())
    def put_other_edges_into_the_same_tensor(self, data):
        n = len(self.x)
        more = data.draw(st.lists(st.integers(0, n - 1), min_size=2, max_size=2))
        edges = torch.cat([self.edge_index, torch.tensor(more).view(2, 1)], dim=1)
        self.edge_index.set_(edges[:, -4:].contiguous())
        if self.weight is not None:
            weight = torch.cat([self.weight.detach(), self.weight.new_ones(1)])
            self.weight = weight[-4:].clone()

    @precondition(lambda self: self.weight is not None and self.weight.numel() > 0)
    @rule(data=st.data(), value=st.sampled_from((0.0, 0.5, 2.0)))
    def change_a_weight_in_place(self, data, value):
        k = data.draw(st.integers(0, self.weight.numel() - 1))
        with torch.no_grad():
            self.weight[k] = value

    @precondition(lambda self: self.weight is not None)
    @rule(learn=st.booleans())
    def learn_the_weights_or_not(self, learn):
        self.weight = self.weight.detach().clone().requires_grad_(learn)

    @rule()
    def change_features_in_place(self):
        with torch.no_grad():
            self.x.mul_(0.5).add_(0.1)

    @rule()
    def copy_it(self):
        self.conv = copy.deepcopy(self.conv)

    @rule()
    def pickle_it(self):
        self.conv = pickle.loads(pickle.dumps(self.conv))

    @rule()
    def save_and_load_it_whole(self):
        file = io.BytesIO()
        torch.save(self.conv, file)
        file.seek(0)
        self.conv = torch.load(file, weights_only=False)

    @rule()
    def save_and_load_its_parameters(self):
        file = io.BytesIO()
        torch.save(self.conv.state_dict(), file)
        file.seek(0)
        other = replace(self.case, seed=self.case.seed + 7).build()
        other.load_state_dict(torch.load(file, weights_only=True))
        self.conv = other

    @rule()
    def change_its_precision(self):
        double = not self.case.double
        self.case = replace(self.case, double=double)
        self.conv = self.conv.to(self.case.dtype)
        self.x = self.x.detach().to(self.case.dtype)
        self.trusted = None if self.trusted is None else self.trusted.to(self.case.dtype)
        if self.weight is not None:
            self.weight = self.weight.detach().to(self.case.dtype)

    @rule(share=st.sampled_from((0.5, 0.25, 1.0)))
    def change_its_end_time(self, share):
        time = share * min(1.0, self.choice.longest)
        self.case, self.conv.time = self.case.but(time=time), time

    @rule(mode=st.sampled_from((torch.no_grad, torch.inference_mode)))
    def evaluate_without_gradients(self, mode):
        self.conv.eval()
        before = self.conv(*self.inputs())
        with mode():
            assert_near(self.conv(*self.inputs()), before, self.rounding)

    @precondition(lambda self: self.case.options["solver"] != "exact")
    @rule()
    def watch_its_messages(self):
        seen = []
        handle = self.conv.register_message_forward_hook(lambda *given: seen.append(given))
        watched = self.conv(*self.inputs())
        handle.remove()
        assert seen or self.conv.time == 0
        assert_near(watched, self.conv(*self.inputs()), 2 * self.tolerance)

    @property
    def rounding(self):
        return 1e-12 if self.case.double else 1e-5

    @property
    def tolerance(self):
        # An edited layer may have been made in the other precision, with its tolerances.
        return max(self.choice.tolerance(self.case), 1e-3 if not self.case.double else 0, 1e-4)

    @invariant()
    def it_is_a_fresh_layer_on_a_fresh_graph(self):
        if not hasattr(self, "conv"):
            return
        got = self.conv(*self.inputs())
        fresh = self.case.build()
        fresh.solver = self.conv.solver
        fresh.load_state_dict(self.conv.state_dict())
        clones = [None if v is None else v.detach().clone() for v in self.inputs()]
        assert_near(got, fresh(*clones), self.rounding)
        x, edge_index, weight, *trusted = clones
        weight = None if weight is None else weight.double()
        trusted = [t.double() for t in trusted]
        expected = dense.solution(
            self.conv, dense.leaves(self.conv), x.double(), edge_index, weight, *trusted
        )
        assert_near(got, expected, self.tolerance)


def test_a_layer_stays_itself_through_its_life():
    chosen = settings(max_examples=RUN.cases(50), stateful_step_count=8)
    run_state_machine_as_test(seed(RUN.seed)(Life), settings=chosen)
