"""What is run again is written again, whether it differs or not."""

from dataclasses import replace

from twinwright.simulation.shadow import running

whole = running.differing


def apply(patched):
    patched.setattr(running, "differing", lambda readings, said: whole(readings, replace(said, spans=said.spans.clear())))
