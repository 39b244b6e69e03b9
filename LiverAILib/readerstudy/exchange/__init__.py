"""A study's data for other programs, and theirs for this one: long CSV, iMRMC, MRMCaov and RJafroc."""
