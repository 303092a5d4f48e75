"""Who floods an SMSC in the engine's bench: our pool, other people's ESMEs, and the floor, in C.

Each module has the face of `face.py`; those in Python are run by `__main__.py`. To add one: write it, and
name it in `bench.engine`.
"""
