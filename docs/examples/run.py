"""``prosody-tts`` with the examples beside this file registered: ``python docs/examples/run.py VERB … --workers 0``.

Worker processes start afresh and know what is in the package alone, so the work is done in this one.
"""

import laplace  # noqa: F401
import place  # noqa: F401
import sines  # noqa: F401
import span  # noqa: F401
import tabbed  # noqa: F401

from prosody_tts.cli import main

if __name__ == "__main__":
    main()
