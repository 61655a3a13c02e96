"""What a run that ends early says by its exit code, for schedulers and for whatever else starts it again.

| exit code | |
| --- | --- |
| 74 | a file could not be written: the disk is full (EX_IOERR) |
| 75 | stopped by the watchdog: no progress (EX_TEMPFAIL); by its stop file; or Ray did not start on a machine that is too busy |
| 76 | a node or a worker was lost: start it again when the node is back; it resumes |
"""

EXIT_UNWRITTEN = 74
EXIT_STALLED = 75
EXIT_LOST = 76
WORTH_ANOTHER_START = (EXIT_STALLED, EXIT_LOST)
