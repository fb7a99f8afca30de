"""Builds the one compiled part, the fast path. Without Cython or a compiler it is left out.

Everything else of the package is in pyproject.toml.
"""

from setuptools import Extension, setup

try:
    from Cython.Build import cythonize
except ImportError:
    modules = []
else:
    source = Extension(
        "ratwall.queue.fastpath",
        ["firmware/ratwall/queue/fastpath.pyx"],
        extra_compile_args=["-O2"],
        optional=True,
    )
    modules = cythonize([source], build_dir="build")

setup(ext_modules=modules)
