"""The errors that a user is shown. Each layer has its own subclass; the text says what is wrong and what to do."""


class LiverAIError(Exception):
    """Base of every error whose text is written for the user.

    `exit_code` is what the command line ends with (see `liverai --help`).
    """

    exit_code = 1


class StudyError(LiverAIError):
    """The input can't be used: it is refused with the name of the file or series and a remedy."""

    exit_code = 3


class PhaseQuestion(StudyError):
    """A series' phase is uncertain and the user has to say it."""

    exit_code = 4


class BundleError(LiverAIError):
    """A model package is missing, damaged or not what it claims to be."""

    exit_code = 5


class OutputError(LiverAIError):
    """The result can't be written: no permission, disk full, or the run folder is there already."""

    exit_code = 6


class ResourceLimitError(LiverAIError):
    """The machine lacks what the job needs (memory)."""

    exit_code = 7


class RunFolderError(LiverAIError):
    """A run folder can't be read: a file is missing, damaged, or of a newer version."""

    exit_code = 3
