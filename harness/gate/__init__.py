"""The gate: did head get slower, or less right, than base? Measured side by side, judged with a stated error rate.

`engine.time_sides(base, head, candidates, options, on_progress=…)` times candidates on both sides and returns one
`records.Compared` per workload; `workloads.candidates(cases, root, options)` says which cases are candidates.
"""
