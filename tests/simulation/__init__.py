"""The engine's conscience: whole installations on virtual time, with every fault by chance, and what must hold all the same.

A run is named by its size and its number, such as `small:17`, and is always the same. `python -m tests.simulation`
runs many; a run that fails is made as small as possible and told as a story.
"""
