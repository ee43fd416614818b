"""The product with other limits, given as JSON in TEST_LIMITS: `files`, the soft and the hard limit of open files;
`opened`, the number of files open from the start; and any field of `ConnectionLimits`.

Run as `python -m tests.security.limited_product serve`.
"""

import json
import os
import resource
import sys

from expert_booking import app, cli, server
from expert_booking.http_protocol import ConnectionLimits

if __name__ == "__main__":
    limits = json.loads(os.environ["TEST_LIMITS"])
    if "files" in limits:
        soft, hard = limits.pop("files")
        resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))
    opened = [os.dup(0) for _ in range(limits.pop("opened", 0))]
    app.run = lambda product, listener: server.serve(product, listener, ConnectionLimits(**limits))
    cli.main(sys.argv[1:])
