"""The page of a run: what it learns from, while it trains and after.

    python -m passk.watch runs/NAME [runs/OTHER …]                   a page on loopback that follows the runs
    python -m passk.watch runs/NAME [runs/OTHER …] --html FILE       the same in one file, which opens from disk

    __main__    the command                         folder     a run's folder, read as it grows
    server      the page over HTTP, on loopback     panels     metrics.jsonl as curves
    html        the page in one file                events     what stands on the time axis
    document    the page itself, put together       settings   what was run, and how runs differ
                                                    columns    a step's samples as the page takes them
                                                    state      all of it but the samples, as JSON

``page/`` holds what the browser runs, as it is written: no build step. The curves are drawn by uPlot 1.6.32 (MIT; ``npm pack
uplot@1.6.32``, ``dist/uPlot.iife.min.js``): 51 kB, so that a page with 200 steps paints at once, where a bundle of plotly.js (from
1 MB) takes longer to parse than the page to load; and it draws on a canvas, so that several runs of thousands of steps stay smooth.
Imports neither ray nor vllm nor torch. Deliberately left out: anything that changes a run.
"""
