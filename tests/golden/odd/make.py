"""Small HDF5 files that Keras or h5py can write and a reader may get wrong.

    python3 tests/golden/odd/make.py        (h5py 3.14, numpy 2.4; reads ../cases/softmax_iris/model.h5)

Each is that model with something about its file changed; `x.npy` and `y_pred.npy` of the case hold
for those that can be read.
"""
import os
import h5py
import numpy as np

here = os.path.dirname(os.path.abspath(__file__))
source = os.path.join(here, "../cases/softmax_iris/model.h5")


def copy(name, dataset, **options):
    """The model's groups and attributes, each dataset written by `dataset(group, path, values)`."""
    with h5py.File(source) as old, h5py.File(os.path.join(here, name), "w", **options) as new:
        def attributes(a, b):
            for key, value in a.attrs.items():
                b.attrs[key] = value

        def visit(path, item):
            if isinstance(item, h5py.Group):
                attributes(item, new.create_group(path))
            else:
                dataset(new, path, item[()])

        attributes(old, new)
        old.visititems(visit)


def cast(dtype):
    return lambda f, path, v: f.create_dataset(path, data=v.astype(dtype) if v.dtype == "f4" else v)


def with_options(**options):
    return lambda f, path, v: f.create_dataset(path, data=v, **(options if v.ndim else {}))


def bomb(f, path, v):
    # Declares 4 TB, stores nothing.
    big = path.endswith("dense/kernel")
    f.create_dataset(path, shape=(1 << 20, 1 << 20), dtype="f4", chunks=(64, 64), compression="gzip") if big else f.create_dataset(path, data=v)


def external(f, path, v):
    if path.endswith("dense/kernel"):
        f[path] = h5py.ExternalLink("other.h5", "/kernel")
    else:
        f.create_dataset(path, data=v)


def soft(f, path, v):
    if path.endswith("dense/kernel"):
        f.create_dataset("elsewhere", data=v)
        f[path] = h5py.SoftLink("/elsewhere")
    else:
        f.create_dataset(path, data=v)


copy("float16.h5", cast("f2"))
copy("float64.h5", cast("f8"))
copy("big_endian.h5", cast(">f4"))
copy("gzip.h5", with_options(compression="gzip", shuffle=True, chunks=True))
copy("resizable.h5", lambda f, path, v: f.create_dataset(path, data=v, maxshape=(None,) * v.ndim if v.ndim else None))
copy("latest.h5", with_options(), libver="latest")
copy("latest_chunked.h5", with_options(chunks=True), libver="latest")
copy("userblock.h5", with_options(), userblock_size=512)
copy("shape_bomb.h5", bomb)
copy("external_link.h5", external)
copy("soft_link.h5", soft)
