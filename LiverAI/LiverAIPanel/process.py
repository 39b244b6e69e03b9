"""One analysis in a child process: started, followed, cancelled, and never left behind."""

import contextlib
import json
import logging
import os
import signal
import subprocess
import sys
import time

import qt

from LiverAIPanel.words import tr

log = logging.getLogger("LiverAI")

KILL_AFTER_MS = 5000
ERROR_CHECK_MS = 200


class Remaining:
    """How long the work goes on, from how far it is. clock: seconds, for tests."""

    def __init__(self, clock=time.monotonic):
        self._clock = clock
        self._begin = clock()
        self._fraction = 0.0
        self._at = self._begin

    def step(self, fraction):
        """Say how far it is, in [0, 1]."""
        if fraction > self._fraction:
            self._fraction, self._at = fraction, self._clock()

    @property
    def elapsed(self):
        return self._clock() - self._begin

    @property
    def remaining(self):
        """Seconds; None while too little is known. It counts down between two steps."""
        took = self._at - self._begin
        if self._fraction < 0.1 or took < 1.0:
            return None
        return max(0.0, took * (1 - self._fraction) / self._fraction - (self._clock() - self._at))


class AnalysisProcess:
    """One analysis at a time in a child process that ends with Slicer, with callbacks for its progress and its end.

    on_progress(fraction, message); on_finished(error, details): error is None on success, "" when cancelled, else the
    text for the user; details is all that the child wrote.
    """

    def __init__(self, on_progress, on_finished, folder):
        self._on_progress = on_progress
        self._on_finished = on_finished
        self._folder = folder
        self._process = None
        self._ended = None  # keeps the last process alive: Qt must not lose it inside its own signal
        self._pending = b""
        self._errors = b""
        self._cancelled = 0

    @property
    def running(self):
        return self._process is not None

    def start(self, program, arguments):
        """Run `program`; its working folder makes LiverAILib importable."""
        self._pending = self._errors = b""
        self._cancelled = 0
        self._process = qt.QProcess()
        self._process.setWorkingDirectory(str(self._folder))
        self._process.readyReadStandardOutput.connect(self._read_output)
        self._process.readyReadStandardError.connect(self._read_errors)
        self._process.finished.connect(lambda *_: self._finish())
        self._process.errorOccurred.connect(lambda *_: qt.QTimer.singleShot(ERROR_CHECK_MS, self._check_started))
        self._process.start(str(program), [str(argument) for argument in arguments])

    def cancel(self):
        """End the child and all it started: it reads the end of its input as the order to stop. Again: at once."""
        if self._process is None:
            return
        self._cancelled += 1
        if self._cancelled > 1:
            kill_tree(self._process)
            return
        self._process.closeWriteChannel()
        process = self._process
        qt.QTimer.singleShot(KILL_AFTER_MS, lambda: kill_tree(process) if self._process is process else None)

    def abandon(self):
        """End the child and forget it: nobody is called any more."""
        self._on_progress = self._on_finished = lambda *_: None
        self.cancel()

    def _read_output(self):
        if self._process is None:
            return
        self._pending += bytes(self._process.readAllStandardOutput().data())
        *lines, self._pending = self._pending.split(b"\n")
        for line in lines:
            try:
                step = json.loads(line)
                fraction, message = float(step["fraction"]), str(step["message"])
            except (ValueError, TypeError, KeyError):
                log.warning("Not a progress line: %r", line[:200])
                continue
            self._on_progress(fraction, message)

    def _read_errors(self):
        if self._process is not None:
            self._errors += bytes(self._process.readAllStandardError().data())

    def _check_started(self):
        """A program that can't be started emits an error and no end; a started one that fails ends as well."""
        if self._process is not None and self._process.state() == qt.QProcess.NotRunning:
            self._process = None
            self._on_finished(tr("Slicer's Python (PythonSlicer) could not be started. Install Slicer again."), "")

    def _finish(self):
        if self._process is None:
            return
        self._read_output()
        self._read_errors()
        code = self._process.exitCode()
        crashed = self._process.exitStatus() != qt.QProcess.NormalExit
        self._ended, self._process = self._process, None
        text = self._errors.decode("utf-8", "replace").strip()
        if text:
            log.info("The analysis wrote:\n%s", text)
        if self._cancelled:
            self._on_finished("", text)
        elif code == 0 and not crashed:
            self._on_finished(None, text)
        else:
            self._on_finished(sentence(text, crashed or code == 128 + 9), text)


def sentence(text, killed):
    """What the user is told of a child that failed: its own last line, or what its end means."""
    if killed:
        return tr(
            "The analysis was ended by the system, most likely because memory ran out. "
            "Close other programs, or give fewer phases."
        )
    last = text.splitlines()[-1] if text else ""
    last = last.removeprefix("liverai: ")
    return last or tr("The analysis ended unexpectedly and said nothing. See the log.")


def kill_tree(process):
    """Kill a child with its children. It heads a process group of its own (POSIX) once it has begun to work."""
    pid = int(process.processId())
    if pid > 0 and sys.platform == "win32":
        with contextlib.suppress(OSError):
            subprocess.Popen(["taskkill", "/T", "/F", "/PID", str(pid)])  # noqa: S603, S607 - Windows' own
    elif pid > 0:
        with contextlib.suppress(OSError):
            if os.getpgid(pid) == pid:
                os.killpg(pid, signal.SIGKILL)
    process.kill()
