"""The raw files of every data set: folder, URL and digests."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class RawFile:
    """One published file and, where known, the digest of its bytes.

    Args:
        name: file name inside the raw folder.
        digest: SHA-256 (64 hexadecimal digits), or the git blob id (40 digits) of a file in a git
            repository; empty for plain text files without a published digest.
        arrays: digest of the arrays of an npz file, see
            :func:`grandpp.data.npz_digest.npz_digest`: a file with other bytes and the same arrays
            is accepted, too. (default: ``""``, only the bytes are compared)
    """

    name: str
    digest: str = ""
    arrays: str = ""


@dataclass(frozen=True)
class RawSet:
    """The files of one data set, in the folder layout of PyG and ogb.

    Args:
        folder: raw folder below a folder of data sets.
        url: prefix of the URL of every file, or URL of an archive with the files.
        files: the files; every file that is unpickled has a digest.
        archive_folder: folder of the files inside the archive; empty if ``url`` is no archive.
    """

    folder: str
    url: str
    files: tuple[RawFile, ...]
    archive_folder: str = ""


PLANETOID_PARTS = ("x", "tx", "allx", "y", "ty", "ally", "graph", "test.index")
_PLANETOID = "https://github.com/kimiyoung/planetoid/raw/master/data/"
_BENCHMARK = "https://github.com/shchur/gnn-benchmark/raw/master/data/npz/"
_ARXIV = "http://snap.stanford.edu/ogb/data/nodeproppred/arxiv.zip"
_ARXIV_FILES = ("edge", "node-feat", "node-label", "num-node-list", "num-edge-list")


def _planetoid(name: str, *digests: str) -> RawSet:
    parts = zip(PLANETOID_PARTS, digests, strict=True)
    files = (RawFile(f"ind.{name.lower()}.{part}", digest) for part, digest in parts)
    return RawSet(f"{name}/raw", _PLANETOID, tuple(files))


def _benchmark(folder: str, name: str, digest: str, arrays: str) -> RawSet:
    return RawSet(f"{folder}/raw", _BENCHMARK, (RawFile(name, digest, arrays),))


RAW_SETS = {
    "Cora": _planetoid(
        "Cora",
        "23cfa55d91c6f624233f5eb7b6e3f141f1bd2b2ae39608a63cf5d084bb27baab",
        "b9afbaa4a400df991f6f02ef677e1e44da55ffc04801fd02f9e673987829226a",
        "9419ba2f26f5c35243db64aba110e0f35a04851609e0dc5433450676ca6b8543",
        "94465c14eb53e04ca262198dcbb2521ee8af60fb3f3d546cd6ca24a511b0e7d1",
        "41f5ac76596a1699cc33f53084a2419e92961c42bb75f36fc38e616d348532ad",
        "2b998f5cc7fedc86e7f97ca2498f47a1ffc1462c29e2d578b23bf3f62b6e7d71",
        "58f13302f39dde8852dad6fe6d15b89b077b6d7f837626bce671ef80344b383d",
        "297ce89af2b51a6a194181c7dbe1796c6a1cf9cd9349a88383b1b1e227867875",
    ),
    "CiteSeer": _planetoid(
        "CiteSeer",
        "d20de19150741e555de0ed037195630fc194114ebc7fd72ced62810148aa22f6",
        "539a8906a2da97628d212f2fdd668c109a8b3f0d36574b59e5d3fd5b5303da21",
        "2ac30345d95c9ec933a817ee0bdd6a5f077f8c184a20e696910192d534414668",
        "8ba87e515d8e3ee3cf52f6d2c5b86aa73f11ecad825a808455209ec26cd54924",
        "55e5bd1ba1e733a04598753ad1a8d57957f4b8f89e74519f41f4f4938767e4ce",
        "f704b2d986dde6c2669934de1f3ae5696a6cf9455c0f6b2646a2d135ea0a1c95",
        "d79a4ef9d3e7169aee8946145f6b7306e35bc79bffad26346cfb94e10e9912a7",
        "2af990671580b6b2df5d158d1038f8292e30c9cd821b5453f399659b25b723d4",
    ),
    "PubMed": _planetoid(
        "PubMed",
        "fbe9cb5c47200d1b7769a26e579be3b7130b556831f9d850e77c4c74f2599b33",
        "4eb5f5d0f30f26497eb0ac6ac9719d09c67e284f1ed0385c93f3ef27a671da3d",
        "508e538e2abdccdd54c4d3e9f49d638b4af7107d85845f66ddea5a5152658b7e",
        "e6c807633307a07ed659249006536a147c7999c797f11a2560752990181b41b3",
        "ee2e0d4819d9fbcc403689c3bf2e49face401b605932f093bc58ab6461130fdd",
        "0c37bbe3b5014ec365e9d393cf4791925e5ed94fb194305d74f064a8d7b50f0e",
        "5b89f0036ca22909471f1e6558eb42fa06e0c730a577bde5b058b40638f81dc9",
        "b101d421688bbaecbd82e8a18f1e282378d6830f3a37666f28ebc47f844341b5",
    ),
    "CoauthorCS": _benchmark(
        "CS",
        "ms_academic_cs.npz",
        "9bdd7da943d86b74297e8d32e99eb64245b52835",
        "4b2cd11ec1196ea3bf482856d40f78d8d9010eb351700ba23006566264fcef2c",
    ),
    "Computers": _benchmark(
        "Computers",
        "amazon_electronics_computers.npz",
        "8120e4148a330b3fafe37c4476823302d9d834b9",
        "4fb6cc241eaa2d0efed6575fb2deefdef6785280e0cb0c36ce9351b606262776",
    ),
    "Photo": _benchmark(
        "Photo",
        "amazon_electronics_photo.npz",
        "97323743cb56aca9dd611f5b4b46862c1c9c6bd9",
        "3dd9521498edff54c2b6b9e7e154a4b507869dd666cbf2902b87b34930bfaed2",
    ),
    "ogbn-arxiv": RawSet(
        "ogbn_arxiv/raw",
        _ARXIV,
        tuple(RawFile(f"{name}.csv.gz") for name in _ARXIV_FILES),
        archive_folder="arxiv/raw/",
    ),
}

MNIST_FILES = tuple(f"{part}-{kind}-ubyte" for part in ("train", "t10k")
                    for kind in ("images-idx3", "labels-idx1"))  # fmt: skip
_MNIST_DIGESTS = (
    "440fcabf73cc546fa21475e81ea370265605f56be210a4024d2ca8f203523609",
    "3552534a0a558bbed6aed32b30c495cca23d567ec52cac8be1a0730e8010255c",
    "8d422c7b0a1c1c79245a5bcf07fe86e33eeafee792b84584aec276f5a2dbc4e6",
    "f7ae60f92e00ec6debd23a6088c31dbd2371eca3ffa0defaefb259924204aec6",
)

IMAGE_SETS = {
    "mnist": RawSet(
        "MNIST/raw",
        "https://storage.googleapis.com/cvdf-datasets/mnist/",
        tuple(
            RawFile(f"{name}.gz", digest)
            for name, digest in zip(MNIST_FILES, _MNIST_DIGESTS, strict=True)
        ),
    ),
    "cifar10": RawSet(
        "CIFAR10/raw",
        "https://www.cs.toronto.edu/~kriz/",
        (
            RawFile(
                "cifar-10-python.tar.gz",
                "6d958be074577803d12ecdefd02955f39262c83c16fe9348329d7fe0b5c001ce",
            ),
        ),
    ),
}
"""Image data sets; CIFAR-10 is an archive of pickles, whose digest is checked before reading."""
