"""What can go wrong in a reader study, in words for the coordinator or the reader."""

from __future__ import annotations

from LiverAILib.errors import LiverAIError


class ReaderStudyError(LiverAIError):
    """Base of the errors of a reader study."""

    exit_code = 3


class ProtocolError(ReaderStudyError):
    """The protocol can't be used: the text names the item and what it should be."""


class StudyFileError(ReaderStudyError):
    """The study file is missing, not one, damaged, or was changed by another hand; or an entry is not allowed."""


class StudyFileBusyError(StudyFileError):
    """Another program holds the study file for too long."""


class CaseFileError(StudyFileError):
    """A prepared file of a case is missing or was changed. The text names the case: not for a reader's eyes."""


class SessionError(ReaderStudyError):
    """A step of a reading session that is not possible now: the text says which one is."""


class SessionEndedError(SessionError):
    """The session is over: logged out, or the same code logged in elsewhere."""


class AnswerError(SessionError):
    """An answer is incomplete or contradicts itself; nothing was stored, and it can be put right."""


class NotYetError(SessionError):
    """The next case may not be read yet (washout), or the clock was set back."""
