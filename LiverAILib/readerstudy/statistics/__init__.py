"""The statistics of a reader study, in numpy and scipy alone.

Classes, arms and readers are named in every call and in every result; their order never carries a meaning. A figure
that can't be estimated is refused with a `StatisticsError` that says why.
"""
