"""The archive of CIFAR-10, beyond what its digest already refuses."""

from __future__ import annotations

import io
import pickle
import pickletools

import numpy as np
import pytest
from small_images import write_cifar
from small_sets import Marker

from grandpp.data.cifar import ArraysOnly, read_cifar10


def test_a_pickle_that_would_run_code_is_refused_even_after_the_digest(tmp_path):
    write_cifar(tmp_path, test_batch=Marker(tmp_path / "marker"))
    with pytest.raises(ValueError, match=r"test_batch \(got expected only NumPy arrays"):
        read_cifar10((tmp_path / "cifar-10-python.tar.gz").read_bytes())
    assert not (tmp_path / "marker").exists()


@pytest.mark.parametrize("cut", [2000, 20000])
def test_an_archive_cut_off_is_refused(tmp_path, cut):
    write_cifar(tmp_path)
    content = (tmp_path / "cifar-10-python.tar.gz").read_bytes()
    with pytest.raises(ValueError, match="expected a whole tar"):
        read_cifar10(content[:-cut])
    with pytest.raises(ValueError, match="expected a whole tar"):
        read_cifar10(b"nothing packed")


@pytest.mark.parametrize("module", ["numpy.core.multiarray", "numpy._core.multiarray"])
def test_arrays_are_read_under_the_old_and_the_new_name_of_their_function(module):
    array = np.arange(6, dtype=np.uint8).reshape(2, 3)
    # Protocol 3 names the function as one line of text, which Python 2 wrote with the old module.
    content = pickle.dumps(array, protocol=3)
    found = next(arg for op, arg, _ in pickletools.genops(content) if op.name == "GLOBAL")
    assert found.split()[1] == "_reconstruct"
    content = content.replace(found.split()[0].encode(), module.encode(), 1)
    np.testing.assert_array_equal(ArraysOnly(io.BytesIO(content)).load(), array)
