from __future__ import annotations

import json

import torch
from torch import nn

from grandpp.layers import describe_module


def test_every_parameter_is_in_one_layer():
    net = nn.Sequential(nn.Linear(2, 3), nn.ReLU(), nn.Sequential(nn.Linear(3, 1)))
    net.register_parameter("scale", nn.Parameter(torch.ones(())))
    net[0].bias.requires_grad_(False)
    told = describe_module(net)
    assert json.loads(json.dumps(told)) == told
    assert told["parameters"] == 6 + 4 + 1
    assert [layer["parameters"] for layer in told["layers"]] == [1, 9, 0, 4]
