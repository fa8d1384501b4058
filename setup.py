"""What pyproject.toml cannot say: setuptools knows the hook of cffi only as a keyword of setup()."""

from setuptools import setup

setup(cffi_modules=["build.py:ffibuilder"])
