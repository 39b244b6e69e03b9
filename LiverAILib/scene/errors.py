"""The scene layer's error."""

from LiverAILib.errors import LiverAIError


class SceneError(LiverAIError):
    """The run folder can't be shown in this scene; the text says what is wrong and what to do."""

    exit_code = 3
