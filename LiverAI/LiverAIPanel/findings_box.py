"""The findings: the patient's reading, the table of lesions, the chosen lesion's class probabilities, slice scores."""

import qt

from LiverAILib.lesion_types import LesionType
from LiverAILib.study import Phase
from LiverAIPanel.choice import button, label, row
from LiverAIPanel.paint import HCC, NODULE, Bars, Strip
from LiverAIPanel.words import phase_short, phase_title, tr, type_title

ROW = 22
CALLS = {"open": "", "confirmed": "✓", "rejected": "✗"}


class FindingsBox:
    """on_select(lesion id): go to a lesion. on_phase_step(+1 or -1): next or previous phase. on_level(mm): a slice."""

    def __init__(self, on_select, on_phase_step, on_level):
        self._on_select = on_select
        self._ids = []
        self._quiet = False
        self.widget = qt.QWidget()
        layout = qt.QVBoxLayout(self.widget)
        layout.setContentsMargins(0, 0, 0, 0)
        self.banner = label()
        self.banner.setTextFormat(qt.Qt.RichText)
        self.banner.setMargin(6)
        self.table = qt.QTableWidget()
        self.table.setEditTriggers(qt.QAbstractItemView.NoEditTriggers)
        self.table.setSelectionBehavior(qt.QAbstractItemView.SelectRows)
        self.table.setSelectionMode(qt.QAbstractItemView.SingleSelection)
        self.table.setMinimumWidth(60)
        self.table.setToolTip(
            tr(
                "Choose a row to go to the lesion in the phase where it stands out most. Lesion %: how sure the "
                "network is, on average, that this is a lesion; it says nothing of malignancy."
            )
        )
        self.table.verticalHeader().setVisible(False)
        self.table.verticalHeader().setDefaultSectionSize(ROW)
        self.table.itemSelectionChanged.connect(self._selected)
        self.previousButton = button("◀ " + tr("Lesion"), lambda: self.step(-1), tr("Previous lesion (key P)"))
        self.nextButton = button(tr("Lesion") + " ▶", lambda: self.step(1), tr("Next lesion (key N)"))
        self.phaseBackButton = button("◀ " + tr("Phase"), lambda: on_phase_step(-1), tr("Previous phase (key J)"))
        self.phaseButton = button(tr("Phase") + " ▶", lambda: on_phase_step(1), tr("Next phase (key K)"))
        self.chosen = label()
        self.bars = Bars()
        self.strip_title = label()
        self.strip = Strip(on_level)
        self.strip.setToolTip(tr("Click on a slice to go there; arrow keys move by one slice."))
        buttons = row(self.previousButton, self.nextButton, self.phaseBackButton, self.phaseButton)
        for part in (self.banner, self.table, buttons, self.chosen, self.bars, self.strip_title, self.strip):
            layout.addWidget(part)

    def clear(self):
        """No run is shown."""
        self.banner.text = tr("No findings yet.")
        self._fill([], [])
        self.show_lesion(None, None)
        self.show_scores([], [], [], "")

    def show_run(self, findings, lesions):
        """The banner and the table. lesions: `opinions.ReadLesion`s."""
        self.banner.text = banner_text(findings, lesions)
        self.banner.setToolTip("\n".join(findings.warnings))
        self._fill(lesions, [phase for phase in Phase if phase in findings.phases])

    def _fill(self, lesions, phases):
        """One row per lesion; numbers stay numbers, so that they sort as such."""
        titles = [tr("Lesion"), tr("Type"), tr("Malig. %"), "ml", tr("mm")]
        titles += [f"{phase_short(phase)} HU" for phase in phases] + [tr("Found in"), tr("Lesion %"), tr("Reader")]
        chosen = self.selected()
        self._quiet = True
        self.table.blockSignals(True)
        self.table.setSortingEnabled(False)
        self.table.clearContents()
        self.table.setColumnCount(len(titles))
        self.table.setHorizontalHeaderLabels(titles)
        self.table.setRowCount(len(lesions))
        self._ids = [one.lesion.id for one in lesions]
        for number, one in enumerate(lesions):
            for column, value in enumerate(cells(one, phases)):
                self.table.setItem(number, column, self._item(value, one, column))
        self.table.resizeColumnsToContents()
        self.table.setFixedHeight(ROW * (min(max(len(lesions), 2), 8) + 2))
        self.table.setSortingEnabled(True)
        self.table.blockSignals(False)
        self._quiet = False
        if chosen in self._ids:
            self.select(chosen)

    def _item(self, value, one, column):
        item = qt.QTableWidgetItem()
        if value is not None:
            item.setData(qt.Qt.DisplayRole, value)
        if column == 0:
            item.setData(qt.Qt.UserRole, one.lesion.id)
        if one.rejected:
            font = qt.QFont()
            font.setStrikeOut(True)
            item.setFont(font)
        if column == 4:
            item.setToolTip(f"{one.lesion.diameter_mm:.1f} x {one.lesion.perpendicular_mm:.1f} mm")
        return item

    def order(self):
        """The lesion ids as the table is sorted."""
        items = [self.table.item(number, 0) for number in range(len(self._ids))]
        return [item.data(qt.Qt.UserRole) for item in items if item is not None]

    def selected(self):
        """The chosen lesion's id, None without one."""
        order = self.order()
        number = self.table.currentRow()
        return order[number] if 0 <= number < len(order) else None

    def step(self, step):
        """To the next (+1) or previous (-1) lesion, round and round."""
        order = self.order()
        if order:
            chosen = self.selected()
            at = order.index(chosen) + step if chosen in order else (0 if step > 0 else -1)
            self._on_select(order[at % len(order)])

    def select(self, lesion_id):
        """Choose a lesion without telling."""
        order = self.order()
        if lesion_id in order:
            self._quiet = True
            self.table.selectRow(order.index(lesion_id))
            self._quiet = False

    def _selected(self):
        if not self._quiet and self.selected() is not None:
            self._on_select(self.selected())

    def show_lesion(self, one, phase):
        """The chosen lesion's line and its class probabilities."""
        for widget in (self.previousButton, self.nextButton, self.phaseBackButton, self.phaseButton):
            widget.enabled = bool(self._ids)
        if one is None:
            self.chosen.text = tr("Choose a lesion.") if self._ids else ""
            self.bars.show_rows([])
            return
        lesion = one.lesion
        parts = [f"{one.name}: {type_title(one.type)}."]
        if one.opinion.type is not None and one.program_type is not None:
            parts.append(tr("(The program says {type}.)").format(type=type_title(one.program_type)))
        if phase is not None:
            parts.append(tr("Shown: {phase} phase.").format(phase=phase_title(phase).lower()))
        if lesion.approximate_in:
            phases = ", ".join(phase_title(where).lower() for where in lesion.approximate_in)
            parts.append(tr("Its outline is a guess in: {phases}.").format(phases=phases))
        if phase in lesion.saliency_share:
            share = 100 * lesion.saliency_share[phase]
            parts.append(tr("{share:.0f}% of this phase's saliency in the liver lies in it.").format(share=share))
        self.chosen.text = " ".join(parts)
        known = lesion.type_probabilities or {}
        self.bars.show_rows(
            [
                (type_title(kind), known[kind], kind.malignant, one.opinion.type is kind)
                for kind in LesionType
                if kind in known
            ]
        )

    def show_scores(self, levels, nodule, hcc, title):
        """The strip of one phase; without scores it is hidden."""
        self.strip.show_scores(levels, [("NoduleNet", NODULE, nodule), ("HCCNet", HCC, hcc)])
        shown = bool(self.strip.curves) and bool(len(levels))
        self.strip_title.text = title if shown else ""
        self.strip_title.setVisible(shown)
        self.strip.setVisible(shown)


def cells(one, phases):
    """A lesion's values as the table has them; None is unknown."""
    lesion = one.lesion
    malignancy = lesion.malignancy
    found = ", ".join(phase_short(phase) for phase in lesion.found_in)
    return [
        one.name,
        type_title(one.type) if one.type is not None else "",
        None if malignancy is None else round(100 * malignancy),
        round(float(lesion.volume_ml), 2),
        round(float(lesion.diameter_mm)),
        *(round(float(lesion.mean_hu[phase])) if phase in lesion.mean_hu else None for phase in phases),
        found,
        None if one.by_reader else round(100 * float(lesion.probability)),
        (CALLS[one.opinion.call.value] + (" +" if one.by_reader else "")).strip(),
    ]


def banner_text(findings, lesions):
    """The reading of the patient as rich text, and what is missing for it."""
    counted = [one for one in lesions if not one.rejected]
    count = (
        tr("no lesion")
        if not counted
        else tr("1 lesion")
        if len(counted) == 1
        else tr("{n} lesions").format(n=len(counted))
    )
    lines = []
    reading = findings.reading
    if reading is not None:
        titles = {"high": tr("High risk"), "low": tr("Low risk")}
        title = titles[reading.triage.value] if reading.triage else tr("Not triaged")
        reason = reading.reason.partition(": ")[2] or reading.reason
        lines.append(f"<b>{title}.</b> {escape(reason[0].upper() + reason[1:])}")
    lines.append(tr("Liver {ml:.0f} ml, {count}.").format(ml=findings.liver_ml, count=count))
    risk = findings.hcc_risk
    if risk is not None:
        text = tr("HCC risk score {score:.2f} ({images} images)").format(score=risk.unscaled, images=risk.images)
        if risk.hcc is not None:
            text += ": " + (tr("over the threshold") if risk.hcc else tr("under the threshold"))
        lines.append(text + ".")
    absent = []
    if reading is None:
        absent.append(tr("lesions were not classified"))
    if risk is None:
        absent.append(tr("no HCC risk score"))
    if absent and not any(warning.startswith("Not installed") for warning in findings.warnings):
        lines.append("<i>" + tr("Not available: {what}.").format(what=", ".join(absent)) + "</i>")
    lines += [f"<i>{escape(warning)}</i>" for warning in findings.warnings]
    return "<br>".join(lines)


def escape(text):
    return text.replace("&", "&amp;").replace("<", "&lt;").replace(">", "&gt;")
