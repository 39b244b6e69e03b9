"""The clinical record: age and sex as DICOM has them, the four histories as yes, no or unknown."""

import qt

from LiverAILib.errors import LiverAIError
from LiverAILib.study import ClinicalRecord
from LiverAIPanel.choice import Choice
from LiverAIPanel.words import tr

HISTORIES = ("hepatitis", "cirrhosis", "cholangiolithiasis", "extrahepatic_tumour")
_KNOWN = {"yes": True, "no": False, "unknown": None}


class ClinicalBox:
    """The fields; each may stay unknown. parameters(): the panel's settings. on_change(): told of every change."""

    def __init__(self, parameters, on_change):
        self._parameters = parameters
        self._on_change = on_change
        self.widget = qt.QWidget()
        form = qt.QFormLayout(self.widget)
        form.setContentsMargins(0, 0, 0, 0)
        self.age = qt.QLineEdit()
        self.age.setPlaceholderText(tr("unknown"))
        self.age.setToolTip(tr("Age in years. Filled from DICOM where it is known."))
        self.age.textChanged.connect(lambda *_: self._keep("age", self.age.text.strip()))
        form.addRow(tr("Age (years)"), self.age)
        sexes = [("unknown", tr("unknown")), ("female", tr("female")), ("male", tr("male"))]
        self.choices = {"sex": Choice(sexes, lambda value: self._keep("sex", value))}
        form.addRow(tr("Sex"), self.choices["sex"].widget)
        titles = {
            "hepatitis": tr("Hepatitis"),
            "cirrhosis": tr("Cirrhosis"),
            "cholangiolithiasis": tr("Bile duct stones"),
            "extrahepatic_tumour": tr("Tumour elsewhere"),
        }
        answers = [("unknown", tr("unknown")), ("yes", tr("yes")), ("no", tr("no"))]
        for name in HISTORIES:
            self.choices[name] = Choice(answers, lambda value, name=name: self._keep(name, value))
            form.addRow(titles[name], self.choices[name].widget)

    def _keep(self, name, value):
        setattr(self._parameters(), name, value)
        self._on_change()

    def restore(self):
        """From the scene."""
        parameters = self._parameters()
        self.age.text = parameters.age
        for name, choice in self.choices.items():
            choice.value = getattr(parameters, name)

    def fill(self, record):
        """Age and sex from DICOM, where nothing was said yet."""
        if record.age is not None and not self._parameters().age:
            self.age.text = f"{record.age:g}"
        if record.sex is not None and self._parameters().sex == "unknown":
            self.choices["sex"].value = record.sex
            self._keep("sex", record.sex)

    def record(self):
        """What is known. Raises LiverAIError if the age is none."""
        text = self._parameters().age.replace(",", ".")
        try:
            age = float(text) if text else None
        except ValueError:
            raise LiverAIError(tr("The age is not a number of years. Correct it, or leave it empty.")) from None
        sex = self._parameters().sex
        histories = {name: _KNOWN[getattr(self._parameters(), name)] for name in HISTORIES}
        return ClinicalRecord(age=age, sex=None if sex == "unknown" else sex, **histories)
