"""A model that is as slow, large or unlucky as it is told, once it is in a process of its own."""

import os
import sys
import time

import numpy as np

PARENT = not sys.argv[0].endswith("timed.py")


class Heavy:
    """Takes time and memory to predict."""

    def __init__(self, seconds=0.0, megabytes=0, dies=False):
        self.seconds, self.megabytes, self.dies = seconds, megabytes, dies
        self.classes_ = np.array([0, 1])

    def predict_proba(self, frame):
        if not PARENT:
            if self.dies:
                print("out of luck", file=sys.stderr)
                sys.stderr.flush()
                os._exit(3)
            time.sleep(self.seconds)
            held = np.ones(self.megabytes * 125_000)
            del held
        p = np.full(len(frame), 0.5)
        return np.stack([1 - p, p], axis=1)
