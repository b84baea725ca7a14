"""Parameters of merges: what the command line is told, and what it means for a tensor and member."""

import re

import numpy as np

LAYER = re.compile(r"layers\.(\d+)\.")
LAYERS = 3


class Setting:
    """A parameter: what the command line is told, and what it means for a tensor and member."""

    def __init__(self, value):
        self.value = value

    def arguments(self, name):
        return [f"{name}={text(self.value)}"]

    def rule(self, tensor):
        del tensor
        return self.value

    def member(self, index, tensor):
        del index
        return self.rule(tensor)


class PerMember(Setting):
    def arguments(self, name):
        return [name + "=" + ",".join(text(value) for value in self.value)]

    def member(self, index, tensor):
        return self.value[index]


class Gradient(Setting):
    """Interpolated over the layers; tensors outside the layers take the first value."""

    def arguments(self, name):
        return [name + "=[" + ",".join(text(value) for value in self.value) + "]"]

    def rule(self, tensor):
        layer = LAYER.search(tensor)
        place = int(layer.group(1)) / (LAYERS - 1) * (len(self.value) - 1) if layer else 0.0
        i = int(np.floor(place))
        f = place - i
        return (1 - f) * self.value[i] + f * self.value[min(i + 1, len(self.value) - 1)]


class Filtered(Setting):
    """One value for the tensors whose name contains the filter, another for the rest."""

    def __init__(self, part, inside, outside):
        super().__init__(outside)
        self.part, self.inside = part, inside

    def arguments(self, name):
        return [f"{name}:{self.part}={text(self.inside)}", f"{name}={text(self.value)}"]

    def rule(self, tensor):
        return self.inside if self.part in tensor else self.value


def text(value):
    if isinstance(value, bool):
        return str(value).lower()
    return value if isinstance(value, str) else repr(value)
