"""Imported first by the fork server, and nowhere else: no collector looks through what is imported from here on.

It is never garbage, and looking costs a quarter of the time; `warm` ends it.
"""

import gc

gc.disable()
