<?xml version="1.0" encoding="utf-8"?>
<!DOCTYPE TS>
<TS version="2.1" language="de_DE" sourcelanguage="en_GB">
<context>
    <name>LiverAI</name>
    <message>
        <source>Finds the liver and its lesions in one to four contrast phases of a liver CT. For research use only: this is no medical device, and its results are no diagnosis. Load the volumes, check their phases, click Analyze. Keys while the module is shown: N and P next and previous lesion, K and J next and previous phase, A all AI off and on.</source>
        <translation>Findet die Leber und ihre Läsionen in einer bis vier Kontrastphasen einer Leber-CT. Nur für die Forschung: Dies ist kein Medizinprodukt, und seine Ergebnisse sind keine Diagnose. Volumen laden, ihre Phasen prüfen, auf Analysieren klicken. Tasten, solange das Modul zu sehen ist: N und P nächste und vorige Läsion, K und J nächste und vorige Phase, A alle KI aus und an.</translation>
    </message>
    <message>
        <source>Methods: LiAIDS (Ying H. et al., A multicenter clinical AI system study for detection and diagnosis of focal liver lesions, Nat Commun 2024) and HCCNet (Wang M. et al., Development of an AI system for accurately diagnose hepatocellular carcinoma from computed tomography imaging data, Br J Cancer 2021).</source>
        <translation>Methoden: LiAIDS (Ying H. et al., A multicenter clinical AI system study for detection and diagnosis of focal liver lesions, Nat Commun 2024) und HCCNet (Wang M. et al., Development of an AI system for accurately diagnose hepatocellular carcinoma from computed tomography imaging data, Br J Cancer 2021).</translation>
    </message>
    <message>
        <source>unknown</source>
        <translation>unbekannt</translation>
    </message>
    <message>
        <source>Age in years. Filled from DICOM where it is known.</source>
        <translation>Alter in Jahren. Wird aus DICOM gefüllt, wo es bekannt ist.</translation>
    </message>
    <message>
        <source>Age (years)</source>
        <translation>Alter (Jahre)</translation>
    </message>
    <message>
        <source>Sex</source>
        <translation>Geschlecht</translation>
    </message>
    <message>
        <source>Hepatitis</source>
        <translation>Hepatitis</translation>
    </message>
    <message>
        <source>Cirrhosis</source>
        <translation>Zirrhose</translation>
    </message>
    <message>
        <source>Bile duct stones</source>
        <translation>Gallengangssteine</translation>
    </message>
    <message>
        <source>Tumour elsewhere</source>
        <translation>Tumor anderswo</translation>
    </message>
    <message>
        <source>female</source>
        <translation>weiblich</translation>
    </message>
    <message>
        <source>male</source>
        <translation>männlich</translation>
    </message>
    <message>
        <source>yes</source>
        <translation>ja</translation>
    </message>
    <message>
        <source>no</source>
        <translation>nein</translation>
    </message>
    <message>
        <source>The age is not a number of years. Correct it, or leave it empty.</source>
        <translation>Das Alter ist keine Zahl von Jahren. Bitte berichtigen oder leer lassen.</translation>
    </message>
    <message>
        <source>No findings yet.</source>
        <translation>Noch keine Befunde.</translation>
    </message>
    <message>
        <source>no lesion</source>
        <translation>keine Läsion</translation>
    </message>
    <message>
        <source>Choose a row to go to the lesion in the phase where it stands out most. Lesion %: how sure the network is, on average, that this is a lesion; it says nothing of malignancy.</source>
        <translation>Eine Zeile wählen, um zur Läsion zu gehen, in der Phase, in der sie am deutlichsten ist. Läsion %: wie sicher das Netz im Mittel ist, dass dies eine Läsion ist; über Bösartigkeit sagt es nichts.</translation>
    </message>
    <message>
        <source>Previous lesion (key P)</source>
        <translation>Vorige Läsion (Taste P)</translation>
    </message>
    <message>
        <source>Next lesion (key N)</source>
        <translation>Nächste Läsion (Taste N)</translation>
    </message>
    <message>
        <source>Previous phase (key J)</source>
        <translation>Vorige Phase (Taste J)</translation>
    </message>
    <message>
        <source>Next phase (key K)</source>
        <translation>Nächste Phase (Taste K)</translation>
    </message>
    <message>
        <source>Click on a slice to go there; arrow keys move by one slice.</source>
        <translation>Ein Klick auf eine Schicht geht dorthin; die Pfeiltasten gehen um eine Schicht weiter.</translation>
    </message>
    <message>
        <source>Lesion</source>
        <translation>Läsion</translation>
    </message>
    <message>
        <source>Type</source>
        <translation>Typ</translation>
    </message>
    <message>
        <source>Malig. %</source>
        <translation>Malign. %</translation>
    </message>
    <message>
        <source>mm</source>
        <translation>mm</translation>
    </message>
    <message>
        <source>1 lesion</source>
        <translation>1 Läsion</translation>
    </message>
    <message>
        <source>High risk</source>
        <translation>Hohes Risiko</translation>
    </message>
    <message>
        <source>Low risk</source>
        <translation>Niedriges Risiko</translation>
    </message>
    <message>
        <source>Not triaged</source>
        <translation>Nicht eingestuft</translation>
    </message>
    <message>
        <source>lesions were not classified</source>
        <translation>Läsionen wurden nicht klassifiziert</translation>
    </message>
    <message>
        <source>no HCC risk score</source>
        <translation>kein HCC-Risikowert</translation>
    </message>
    <message>
        <source>Phase</source>
        <translation>Phase</translation>
    </message>
    <message>
        <source>Found in</source>
        <translation>Gefunden in</translation>
    </message>
    <message>
        <source>Lesion %</source>
        <translation>Läsion %</translation>
    </message>
    <message>
        <source>Reader</source>
        <translation>Leser</translation>
    </message>
    <message>
        <source>Choose a lesion.</source>
        <translation>Eine Läsion wählen.</translation>
    </message>
    <message>
        <source>Liver {ml:.0f} ml, {count}.</source>
        <translation>Leber {ml:.0f} ml, {count}.</translation>
    </message>
    <message>
        <source>HCC risk score {score:.2f} ({images} images)</source>
        <translation>HCC-Risikowert {score:.2f} ({images} Bilder)</translation>
    </message>
    <message>
        <source>{n} lesions</source>
        <translation>{n} Läsionen</translation>
    </message>
    <message>
        <source>over the threshold</source>
        <translation>über der Schwelle</translation>
    </message>
    <message>
        <source>under the threshold</source>
        <translation>unter der Schwelle</translation>
    </message>
    <message>
        <source>(The program says {type}.)</source>
        <translation>(Das Programm sagt {type}.)</translation>
    </message>
    <message>
        <source>Shown: {phase} phase.</source>
        <translation>Gezeigt: Phase {phase}.</translation>
    </message>
    <message>
        <source>Its outline is a guess in: {phases}.</source>
        <translation>Ihr Umriss ist eine Schätzung in: {phases}.</translation>
    </message>
    <message>
        <source>{share:.0f}% of this phase&apos;s saliency in the liver lies in it.</source>
        <translation>{share:.0f}% der Salienz dieser Phase in der Leber liegen in ihr.</translation>
    </message>
    <message>
        <source>Not available: {what}.</source>
        <translation>Nicht vorhanden: {what}.</translation>
    </message>
    <message>
        <source>Reading the volumes</source>
        <translation>Volumen werden gelesen</translation>
    </message>
    <message>
        <source>No volume is chosen. Choose at least one phase.</source>
        <translation>Kein Volumen gewählt. Mindestens eine Phase wählen.</translation>
    </message>
    <message>
        <source>One volume is chosen for two phases. Choose another, or none, for one of them.</source>
        <translation>Ein Volumen ist für zwei Phasen gewählt. Für eine davon ein anderes oder keines wählen.</translation>
    </message>
    <message>
        <source>The {phase} volume was removed during the analysis.</source>
        <translation>Das Volumen der Phase {phase} wurde während der Analyse entfernt.</translation>
    </message>
    <message>
        <source>An analysis is running already. Wait for it, or cancel it.</source>
        <translation>Es läuft schon eine Analyse. Darauf warten oder sie abbrechen.</translation>
    </message>
    <message>
        <source>{folder} can&apos;t be used ({reason}). Choose another folder for results.</source>
        <translation>{folder} kann nicht benutzt werden ({reason}). Einen anderen Ordner für Ergebnisse wählen.</translation>
    </message>
    <message>
        <source>The {phase} volume can&apos;t be exported. Is the disk for temporary files full?</source>
        <translation>Das Volumen der Phase {phase} kann nicht exportiert werden. Ist die Platte für temporäre Dateien voll?</translation>
    </message>
    <message>
        <source>The {phase} volume was changed during the analysis; the findings are of how it was before.</source>
        <translation>Das Volumen der Phase {phase} wurde während der Analyse geändert; die Befunde gelten für den Stand davor.</translation>
    </message>
    <message>
        <source>Cancelled. Nothing was written.</source>
        <translation>Abgebrochen. Nichts wurde geschrieben.</translation>
    </message>
    <message>
        <source>The {phase} volume was removed.</source>
        <translation>Das Volumen der Phase {phase} wurde entfernt.</translation>
    </message>
    <message>
        <source>The result can&apos;t be shown: {problem} It is kept in {folder}.</source>
        <translation>Das Ergebnis kann nicht gezeigt werden: {problem} Es liegt in {folder}.</translation>
    </message>
    <message>
        <source>Confirm</source>
        <translation>Bestätigen</translation>
    </message>
    <message>
        <source>This is a lesion. Click again to take it back.</source>
        <translation>Dies ist eine Läsion. Noch ein Klick nimmt es zurück.</translation>
    </message>
    <message>
        <source>Reject</source>
        <translation>Verwerfen</translation>
    </message>
    <message>
        <source>This is no lesion. Click again to take it back.</source>
        <translation>Dies ist keine Läsion. Noch ein Klick nimmt es zurück.</translation>
    </message>
    <message>
        <source>Your type of this lesion.</source>
        <translation>Ihr Typ dieser Läsion.</translation>
    </message>
    <message>
        <source>Your name for this lesion; empty takes it back.</source>
        <translation>Ihr Name dieser Läsion; leer nimmt ihn zurück.</translation>
    </message>
    <message>
        <source>Add lesion...</source>
        <translation>Läsion ergänzen...</translation>
    </message>
    <message>
        <source>Make a new segment and draw it in the Segment Editor; then come back.</source>
        <translation>Ein neues Segment anlegen und im Segment Editor zeichnen; dann zurückkommen.</translation>
    </message>
    <message>
        <source>Remove</source>
        <translation>Entfernen</translation>
    </message>
    <message>
        <source>Remove a lesion that you added.</source>
        <translation>Eine ergänzte Läsion entfernen.</translation>
    </message>
    <message>
        <source>Your type</source>
        <translation>Ihr Typ</translation>
    </message>
    <message>
        <source>Your name</source>
        <translation>Ihr Name</translation>
    </message>
    <message>
        <source>Your opinions are kept beside the program&apos;s, in the scene and in every report.</source>
        <translation>Ihre Urteile stehen neben denen des Programms, in der Szene und in jedem Bericht.</translation>
    </message>
    <message>
        <source>as the program says</source>
        <translation>wie das Programm sagt</translation>
    </message>
    <message>
        <source>AI off</source>
        <translation>KI aus</translation>
    </message>
    <message>
        <source>Look at the bare images (key A).</source>
        <translation>Die bloßen Bilder ansehen (Taste A).</translation>
    </message>
    <message>
        <source>How liver and lesions are drawn in slice views.</source>
        <translation>Wie Leber und Läsionen in Schichtansichten gezeichnet werden.</translation>
    </message>
    <message>
        <source>Segments</source>
        <translation>Segmente</translation>
    </message>
    <message>
        <source>The map over the images.</source>
        <translation>Die Karte über den Bildern.</translation>
    </message>
    <message>
        <source>Map</source>
        <translation>Karte</translation>
    </message>
    <message>
        <source>Opacity of map and fill.</source>
        <translation>Deckkraft von Karte und Füllung.</translation>
    </message>
    <message>
        <source>Opacity</source>
        <translation>Deckkraft</translation>
    </message>
    <message>
        <source>What is lower in the map is not drawn.</source>
        <translation>Was in der Karte niedriger ist, wird nicht gezeichnet.</translation>
    </message>
    <message>
        <source>Threshold</source>
        <translation>Schwelle</translation>
    </message>
    <message>
        <source>What the lesions&apos; colours mean.</source>
        <translation>Was die Farben der Läsionen bedeuten.</translation>
    </message>
    <message>
        <source>Colour lesions by</source>
        <translation>Läsionen färben nach</translation>
    </message>
    <message>
        <source>Labels</source>
        <translation>Beschriftung</translation>
    </message>
    <message>
        <source>Name, type and probability at each lesion in slice views.</source>
        <translation>Name, Typ und Wahrscheinlichkeit an jeder Läsion in Schichtansichten.</translation>
    </message>
    <message>
        <source>Colour legend</source>
        <translation>Farblegende</translation>
    </message>
    <message>
        <source>The map&apos;s colours and values in slice views.</source>
        <translation>Farben und Werte der Karte in Schichtansichten.</translation>
    </message>
    <message>
        <source>Phases side by side are linked and share one window.</source>
        <translation>Phasen nebeneinander sind verbunden und haben ein Fenster.</translation>
    </message>
    <message>
        <source>Views</source>
        <translation>Ansichten</translation>
    </message>
    <message>
        <source>Show in 3D</source>
        <translation>In 3D zeigen</translation>
    </message>
    <message>
        <source>Make surfaces of liver and lesions; takes some seconds.</source>
        <translation>Oberflächen von Leber und Läsionen machen; dauert einige Sekunden.</translation>
    </message>
    <message>
        <source>AI is off: show it</source>
        <translation>KI ist aus: zeigen</translation>
    </message>
    <message>
        <source>Leave as it is</source>
        <translation>So lassen</translation>
    </message>
    <message>
        <source>1 view</source>
        <translation>1 Ansicht</translation>
    </message>
    <message>
        <source>2 phases</source>
        <translation>2 Phasen</translation>
    </message>
    <message>
        <source>4 phases</source>
        <translation>4 Phasen</translation>
    </message>
    <message>
        <source>3D and slices</source>
        <translation>3D und Schichten</translation>
    </message>
    <message>
        <source>Lesion probability</source>
        <translation>Läsionswahrscheinlichkeit</translation>
    </message>
    <message>
        <source>Off</source>
        <translation>Aus</translation>
    </message>
    <message>
        <source>lesion</source>
        <translation>Läsion</translation>
    </message>
    <message>
        <source>Outline</source>
        <translation>Umriss</translation>
    </message>
    <message>
        <source>Fill</source>
        <translation>Füllung</translation>
    </message>
    <message>
        <source>Saliency of the phase</source>
        <translation>Salienz der Phase</translation>
    </message>
    <message>
        <source>malignancy</source>
        <translation>Bösartigkeit</translation>
    </message>
    <message>
        <source>The PyTorch extension is missing. Install it in the Extensions Manager and restart Slicer.</source>
        <translation>Die Erweiterung PyTorch fehlt. Im Extensions Manager installieren und Slicer neu starten.</translation>
    </message>
    <message>
        <source>Scores of the slices, {phase} phase (feet to head)</source>
        <translation>Werte der Schichten, Phase {phase} (Fuß nach Kopf)</translation>
    </message>
    <message>
        <source>Research use only. Not for diagnosis.</source>
        <translation>Nur für die Forschung. Nicht zur Diagnose.</translation>
    </message>
    <message>
        <source>Each analysis writes a folder of its own here; reports go here too.</source>
        <translation>Jede Analyse schreibt hier einen eigenen Ordner; Berichte kommen auch hierher.</translation>
    </message>
    <message>
        <source>Results in</source>
        <translation>Ergebnisse in</translation>
    </message>
    <message>
        <source>Findings</source>
        <translation>Befunde</translation>
    </message>
    <message>
        <source>Your opinion</source>
        <translation>Ihr Urteil</translation>
    </message>
    <message>
        <source>Overlay and views</source>
        <translation>Überlagerung und Ansichten</translation>
    </message>
    <message>
        <source>Report</source>
        <translation>Bericht</translation>
    </message>
    <message>
        <source>Folder of a DICOM study</source>
        <translation>Ordner einer DICOM-Studie</translation>
    </message>
    <message>
        <source>Folder for results</source>
        <translation>Ordner für Ergebnisse</translation>
    </message>
    <message>
        <source>Study</source>
        <translation>Studie</translation>
    </message>
    <message>
        <source>Clinical record</source>
        <translation>Klinische Angaben</translation>
    </message>
    <message>
        <source>The scene was closed, so the analysis was cancelled.</source>
        <translation>Die Szene wurde geschlossen, darum wurde die Analyse abgebrochen.</translation>
    </message>
    <message>
        <source>Done.</source>
        <translation>Fertig.</translation>
    </message>
    <message>
        <source>Unexpected error ({kind}). The log has the details.</source>
        <translation>Unerwarteter Fehler ({kind}). Das Protokoll hat die Einzelheiten.</translation>
    </message>
    <message>
        <source>The study needs at least {needed:.1f} GB of memory and {free:.1f} GB are free.</source>
        <translation>Die Studie braucht mindestens {needed:.1f} GB Speicher, {free:.1f} GB sind frei.</translation>
    </message>
    <message>
        <source>The disk for results is full: {free:.0f} MB are free, {needed:.0f} MB are needed.</source>
        <translation>Die Platte für Ergebnisse ist voll: {free:.0f} MB sind frei, {needed:.0f} MB werden gebraucht.</translation>
    </message>
    <message>
        <source>Ready. It will run on the GPU.</source>
        <translation>Bereit. Läuft auf der GPU.</translation>
    </message>
    <message>
        <source>Choose at least one phase.</source>
        <translation>Mindestens eine Phase wählen.</translation>
    </message>
    <message>
        <source>PyTorch is not installed yet (up to 3 GB).</source>
        <translation>PyTorch ist noch nicht installiert (bis 3 GB).</translation>
    </message>
    <message>
        <source>Install PyTorch...</source>
        <translation>PyTorch installieren...</translation>
    </message>
    <message>
        <source>Install packages</source>
        <translation>Pakete installieren</translation>
    </message>
    <message>
        <source>Check again</source>
        <translation>Noch einmal prüfen</translation>
    </message>
    <message>
        <source>The folder for results can&apos;t be written. Choose another.</source>
        <translation>In den Ordner für Ergebnisse kann nicht geschrieben werden. Einen anderen wählen.</translation>
    </message>
    <message>
        <source>Choose...</source>
        <translation>Wählen...</translation>
    </message>
    <message>
        <source>Ready. On this CPU it takes roughly {time}.</source>
        <translation>Bereit. Auf dieser CPU dauert es ungefähr {time}.</translation>
    </message>
    <message>
        <source>Extensions Manager...</source>
        <translation>Extensions Manager...</translation>
    </message>
    <message>
        <source>Python packages are missing: {names}.</source>
        <translation>Python-Pakete fehlen: {names}.</translation>
    </message>
    <message>
        <source>The analysis was ended by the system, most likely because memory ran out. Close other programs, or give fewer phases.</source>
        <translation>Das System hat die Analyse beendet, wahrscheinlich weil der Speicher ausging. Andere Programme schließen oder weniger Phasen wählen.</translation>
    </message>
    <message>
        <source>The analysis ended unexpectedly and said nothing. See the log.</source>
        <translation>Die Analyse endete unerwartet und ohne ein Wort. Siehe das Protokoll.</translation>
    </message>
    <message>
        <source>Slicer&apos;s Python (PythonSlicer) could not be started. Install Slicer again.</source>
        <translation>Slicers Python (PythonSlicer) konnte nicht gestartet werden. Slicer neu installieren.</translation>
    </message>
    <message>
        <source>The report is on the clipboard.</source>
        <translation>Der Bericht ist in der Zwischenablage.</translation>
    </message>
    <message>
        <source>Copy text</source>
        <translation>Text kopieren</translation>
    </message>
    <message>
        <source>A structured report in plain text, onto the clipboard.</source>
        <translation>Ein strukturierter Bericht als Text in die Zwischenablage.</translation>
    </message>
    <message>
        <source>A page with a picture of each lesion.</source>
        <translation>Eine Seite mit einem Bild jeder Läsion.</translation>
    </message>
    <message>
        <source>The same as a PDF.</source>
        <translation>Dasselbe als PDF.</translation>
    </message>
    <message>
        <source>One line per lesion.</source>
        <translation>Eine Zeile je Läsion.</translation>
    </message>
    <message>
        <source>All findings and opinions, for programs.</source>
        <translation>Alle Befunde und Urteile, für Programme.</translation>
    </message>
    <message>
        <source>{name} can&apos;t be written ({reason}). Choose another folder for results.</source>
        <translation>{name} kann nicht geschrieben werden ({reason}). Einen anderen Ordner für Ergebnisse wählen.</translation>
    </message>
    <message>
        <source>Written: {path}</source>
        <translation>Geschrieben: {path}</translation>
    </message>
    <message>
        <source>{name} is empty. Is the disk full?</source>
        <translation>{name} ist leer. Ist die Platte voll?</translation>
    </message>
    <message>
        <source>Starting ...</source>
        <translation>Wird gestartet ...</translation>
    </message>
    <message>
        <source>Cancelling ... Click again to end it at once.</source>
        <translation>Wird abgebrochen ... Noch ein Klick beendet es sofort.</translation>
    </message>
    <message>
        <source>Where the networks run. Automatic: the GPU if there is one.</source>
        <translation>Wo die Netze laufen. Automatisch: auf der GPU, wenn es eine gibt.</translation>
    </message>
    <message>
        <source>Run on</source>
        <translation>Läuft auf</translation>
    </message>
    <message>
        <source>Analyze</source>
        <translation>Analysieren</translation>
    </message>
    <message>
        <source>Find the liver and its lesions in the chosen volumes.</source>
        <translation>Leber und Läsionen in den gewählten Volumen finden.</translation>
    </message>
    <message>
        <source>Cancel</source>
        <translation>Abbrechen</translation>
    </message>
    <message>
        <source>End the analysis; click again to end it at once.</source>
        <translation>Die Analyse beenden; noch ein Klick beendet sie sofort.</translation>
    </message>
    <message>
        <source>Details...</source>
        <translation>Einzelheiten...</translation>
    </message>
    <message>
        <source>What the analysis wrote; it is in the log too.</source>
        <translation>Was die Analyse geschrieben hat; es steht auch im Protokoll.</translation>
    </message>
    <message>
        <source>Automatic</source>
        <translation>Automatisch</translation>
    </message>
    <message>
        <source>CPU</source>
        <translation>CPU</translation>
    </message>
    <message>
        <source>GPU</source>
        <translation>GPU</translation>
    </message>
    <message>
        <source>{time} so far</source>
        <translation>{time} bisher</translation>
    </message>
    <message>
        <source>about {time} left</source>
        <translation>noch etwa {time}</translation>
    </message>
    <message>
        <source>Synthetic three-phase liver CT</source>
        <translation>Synthetische dreiphasige Leber-CT</translation>
    </message>
    <message>
        <source>Reader&apos;s lesion</source>
        <translation>Läsion des Lesers</translation>
    </message>
    <message>
        <source>LiverAI needs these Python packages: {names}. They are small and come from the internet (PyPI).</source>
        <translation>LiverAI braucht diese Python-Pakete: {names}. Sie sind klein und kommen aus dem Internet (PyPI).</translation>
    </message>
    <message>
        <source>Installs these packages into Slicer&apos;s Python; nothing that is there is changed.</source>
        <translation>Installiert diese Pakete in Slicers Python; was da ist, wird nicht geändert.</translation>
    </message>
    <message>
        <source>Some packages are still missing; restart Slicer.</source>
        <translation>Einige Pakete fehlen noch; Slicer neu starten.</translation>
    </message>
    <message>
        <source>The packages could not be installed. Is there an internet connection?</source>
        <translation>Die Pakete konnten nicht installiert werden. Gibt es eine Internetverbindung?</translation>
    </message>
    <message>
        <source>Installing failed ({kind}); see the log.</source>
        <translation>Installieren misslang ({kind}); siehe das Protokoll.</translation>
    </message>
    <message>
        <source>Load study...</source>
        <translation>Studie laden...</translation>
    </message>
    <message>
        <source>Load the CT series of a folder of DICOM files into the scene.</source>
        <translation>Die CT-Serien eines Ordners von DICOM-Dateien in die Szene laden.</translation>
    </message>
    <message>
        <source>Guess phases</source>
        <translation>Phasen erraten</translation>
    </message>
    <message>
        <source>Forget your own choices and put the volumes into phases again.</source>
        <translation>Die eigene Wahl vergessen und die Volumen neu in Phasen ordnen.</translation>
    </message>
    <message>
        <source>Any subset of phases will do; one is enough.</source>
        <translation>Jede Auswahl von Phasen geht; eine genügt.</translation>
    </message>
    <message>
        <source>The phase of the volumes is uncertain. Choose it yourself.</source>
        <translation>Die Phase der Volumen ist unsicher. Bitte selbst wählen.</translation>
    </message>
    <message>
        <source>yours</source>
        <translation>Ihre</translation>
    </message>
    <message>
        <source>it looks {phase} to the program.</source>
        <translation>für das Programm sieht es nach {phase} aus.</translation>
    </message>
    <message>
        <source>Slicer&apos;s DICOM database is not open. Open the DICOM module once, then try again.</source>
        <translation>Slicers DICOM-Datenbank ist nicht offen. Einmal das Modul DICOM öffnen, dann noch einmal versuchen.</translation>
    </message>
    <message>
        <source>There is no CT series in that folder. Choose the folder of a DICOM study.</source>
        <translation>In diesem Ordner ist keine CT-Serie. Den Ordner einer DICOM-Studie wählen.</translation>
    </message>
    <message>
        <source>not classified</source>
        <translation>nicht klassifiziert</translation>
    </message>
    <message>
        <source>Non-contrast</source>
        <translation>Nativ</translation>
    </message>
    <message>
        <source>Arterial</source>
        <translation>Arteriell</translation>
    </message>
    <message>
        <source>Portal venous</source>
        <translation>Portalvenös</translation>
    </message>
    <message>
        <source>Delayed</source>
        <translation>Spät</translation>
    </message>
    <message>
        <source>NC</source>
        <translation>NAT</translation>
    </message>
    <message>
        <source>ART</source>
        <translation>ART</translation>
    </message>
    <message>
        <source>PV</source>
        <translation>PV</translation>
    </message>
    <message>
        <source>DEL</source>
        <translation>SPÄT</translation>
    </message>
    <message>
        <source>HCC</source>
        <translation>HCC</translation>
    </message>
    <message>
        <source>ICC</source>
        <translation>ICC</translation>
    </message>
    <message>
        <source>Metastasis</source>
        <translation>Metastase</translation>
    </message>
    <message>
        <source>FNH</source>
        <translation>FNH</translation>
    </message>
    <message>
        <source>Haemangioma</source>
        <translation>Hämangiom</translation>
    </message>
    <message>
        <source>Cyst</source>
        <translation>Zyste</translation>
    </message>
    <message>
        <source>Abscess</source>
        <translation>Abszess</translation>
    </message>
    <message>
        <source>{seconds} s</source>
        <translation>{seconds} s</translation>
    </message>
    <message>
        <source>{m}:{s:02d} min</source>
        <translation>{m}:{s:02d} min</translation>
    </message>
    <message>
        <source>An analysis is running. Wait for it, or cancel it; then log in.</source>
        <translation>Eine Analyse läuft. Warten Sie sie ab oder brechen Sie sie ab; dann melden Sie sich an.</translation>
    </message>
    <message>
        <source>The AI's result</source>
        <translation>Ergebnis der KI</translation>
    </message>
    <message>
        <source>Scores of the slices (feet to head)</source>
        <translation>Werte der Schichten (Fuß nach Kopf)</translation>
    </message>
    <message>
        <source>Sure (0 to 100)</source>
        <translation>Sicher (0 bis 100)</translation>
    </message>
    <message>
        <source>Training case {number} of {total}</source>
        <translation>Übungsfall {number} von {total}</translation>
    </message>
    <message>
        <source>Case {number} of {total}</source>
        <translation>Fall {number} von {total}</translation>
    </message>
    <message>
        <source>%v of %m readings done</source>
        <translation>%v von %m Lesungen fertig</translation>
    </message>
    <message>
        <source>Submit: the answer is final</source>
        <translation>Abgeben: Die Antwort ist endgültig</translation>
    </message>
    <message>
        <source>Store the answer and close the case (Ctrl+Return). It can't be changed or seen again.</source>
        <translation>Die Antwort speichern und den Fall schließen (Strg+Eingabe). Sie kann nicht geändert und nicht wieder angesehen werden.</translation>
    </message>
    <message>
        <source>Next case</source>
        <translation>Nächster Fall</translation>
    </message>
    <message>
        <source>Open your next case; time counts from then.</source>
        <translation>Den nächsten Fall öffnen; ab dann zählt die Zeit.</translation>
    </message>
    <message>
        <source>Try again</source>
        <translation>Nochmals versuchen</translation>
    </message>
    <message>
        <source>Go on loading this case.</source>
        <translation>Diesen Fall weiter laden.</translation>
    </message>
    <message>
        <source>Arrange images</source>
        <translation>Bilder anordnen</translation>
    </message>
    <message>
        <source>Views, window and place as when the case was opened.</source>
        <translation>Ansichten, Fensterung und Ort wie beim Öffnen des Falls.</translation>
    </message>
    <message>
        <source>Log out</source>
        <translation>Abmelden</translation>
    </message>
    <message>
        <source>Ends the session. A case that is open is begun anew at your next login.</source>
        <translation>Beendet die Sitzung. Ein offener Fall beginnt bei der nächsten Anmeldung von vorn.</translation>
    </message>
    <message>
        <source>Cases come one by one; an answer is final. You may stop after any case.</source>
        <translation>Die Fälle kommen einer nach dem anderen; eine Antwort ist endgültig. Sie können nach jedem Fall aufhören.</translation>
    </message>
    <message>
        <source>Welcome</source>
        <translation>Willkommen</translation>
    </message>
    <message>
        <source>Stored.</source>
        <translation>Gespeichert.</translation>
    </message>
    <message>
        <source>The answer is stored. You may pause here; no time counts.</source>
        <translation>Die Antwort ist gespeichert. Hier können Sie Pause machen; es zählt keine Zeit.</translation>
    </message>
    <message>
        <source>Your last session was not logged out, or was open elsewhere; it has ended.</source>
        <translation>Ihre letzte Sitzung wurde nicht abgemeldet oder war anderswo offen; sie ist beendet.</translation>
    </message>
    <message>
        <source>The protocol is not sealed: this is a pilot.</source>
        <translation>Das Protokoll ist nicht versiegelt: Dies ist eine Vorstudie.</translation>
    </message>
    <message>
        <source>With the AI's result.</source>
        <translation>Mit dem Ergebnis der KI.</translation>
    </message>
    <message>
        <source>Without the AI.</source>
        <translation>Ohne KI.</translation>
    </message>
    <message>
        <source>The same images as just now, read again; your first answer stays as it is.</source>
        <translation>Dieselben Bilder wie eben, nochmals zu befunden; Ihre erste Antwort bleibt, wie sie ist.</translation>
    </message>
    <message>
        <source>For practice: it does not count.</source>
        <translation>Zum Üben: Er zählt nicht.</translation>
    </message>
    <message>
        <source>This case is not submitted and will be begun anew. Click again to log out.</source>
        <translation>Dieser Fall ist nicht abgegeben und beginnt wieder von vorn. Zum Abmelden nochmals klicken.</translation>
    </message>
    <message>
        <source>A reading session is open. Log out of it first.</source>
        <translation>Eine Lesesitzung ist offen. Melden Sie sich erst ab.</translation>
    </message>
    <message>
        <source>The study file of the coordinator, with the folder of its cases beside it.</source>
        <translation>Die Studiendatei der Studienleitung, mit dem Ordner ihrer Fälle daneben.</translation>
    </message>
    <message>
        <source>The code that the coordinator gave you; never your name.</source>
        <translation>Der Code, den Sie von der Studienleitung haben; nie Ihr Name.</translation>
    </message>
    <message>
        <source>Study file</source>
        <translation>Studiendatei</translation>
    </message>
    <message>
        <source>Your code</source>
        <translation>Ihr Code</translation>
    </message>
    <message>
        <source>Log in</source>
        <translation>Anmelden</translation>
    </message>
    <message>
        <source>Begin to read, or go on where you were.</source>
        <translation>Mit dem Lesen beginnen oder dort weitermachen, wo Sie waren.</translation>
    </message>
    <message>
        <source>Progress of the readers</source>
        <translation>Fortschritt der Leser</translation>
    </message>
    <message>
        <source>For the coordinator: who is how far. It shows no answers.</source>
        <translation>Für die Studienleitung: wer wie weit ist. Antworten werden nicht gezeigt.</translation>
    </message>
    <message>
        <source>Study files</source>
        <translation>Studiendateien</translation>
    </message>
    <message>
        <source>All files</source>
        <translation>Alle Dateien</translation>
    </message>
    <message>
        <source>Choose the study file first.</source>
        <translation>Wählen Sie zuerst die Studiendatei.</translation>
    </message>
    <message>
        <source>Type your code first.</source>
        <translation>Geben Sie zuerst Ihren Code ein.</translation>
    </message>
    <message>
        <source>Go to this mark.</source>
        <translation>Zu dieser Markierung gehen.</translation>
    </message>
    <message>
        <source>Remove this mark.</source>
        <translation>Diese Markierung entfernen.</translation>
    </message>
    <message>
        <source>Mark by a click</source>
        <translation>Per Klick markieren</translation>
    </message>
    <message>
        <source>Then click on the lesion in an image. A mark can be dragged.</source>
        <translation>Danach in einem Bild auf die Läsion klicken. Eine Markierung lässt sich ziehen.</translation>
    </message>
    <message>
        <source>Mark here (M)</source>
        <translation>Hier markieren (M)</translation>
    </message>
    <message>
        <source>Marks where the mouse pointer is, or the middle of the first image if it is in none (key M).</source>
        <translation>Markiert die Stelle unter dem Mauszeiger, oder die Mitte des ersten Bildes, wenn er in keinem ist (Taste M).</translation>
    </message>
    <message>
        <source>Drag the box's handles around each lesion.</source>
        <translation>Ziehen Sie die Griffe des Kastens um jede Läsion.</translation>
    </message>
    <message>
        <source>Nothing is marked.</source>
        <translation>Nichts ist markiert.</translation>
    </message>
    <message>
        <source>The type of this lesion.</source>
        <translation>Der Typ dieser Läsion.</translation>
    </message>
    <message>
        <source>How sure are you that this is a lesion? 0 to 100.</source>
        <translation>Wie sicher sind Sie, dass dies eine Läsion ist? 0 bis 100.</translation>
    </message>
    <message>
        <source>Sure</source>
        <translation>Sicher</translation>
    </message>
    <message>
        <source>Type?</source>
        <translation>Typ?</translation>
    </message>
    <message>
        <source>finished</source>
        <translation>fertig</translation>
    </message>
    <message>
        <source>may read</source>
        <translation>darf lesen</translation>
    </message>
    <message>
        <source>logged in</source>
        <translation>angemeldet</translation>
    </message>
    <message>
        <source>never</source>
        <translation>nie</translation>
    </message>
    <message>
        <source>Answered cases of all; counted anew with each click on the button above.</source>
        <translation>Beantwortete von allen Fällen; bei jedem Klick auf den Knopf darüber neu gezählt.</translation>
    </message>
    <message>
        <source>not sealed: a pilot</source>
        <translation>nicht versiegelt: eine Vorstudie</translation>
    </message>
    <message>
        <source>Training</source>
        <translation>Übung</translation>
    </message>
    <message>
        <source>First</source>
        <translation>Erster Durchgang</translation>
    </message>
    <message>
        <source>Second</source>
        <translation>Zweiter Durchgang</translation>
    </message>
    <message>
        <source>Next</source>
        <translation>Als Nächstes</translation>
    </message>
    <message>
        <source>Last</source>
        <translation>Zuletzt</translation>
    </message>
    <message>
        <source>Sessions</source>
        <translation>Sitzungen</translation>
    </message>
    <message>
        <source>Overrides</source>
        <translation>Ausnahmen</translation>
    </message>
    <message>
        <source>Prepared cases: {ready} of {total}.</source>
        <translation>Vorbereitete Fälle: {ready} von {total}.</translation>
    </message>
    <message>
        <source>from {time}</source>
        <translation>ab {time}</translation>
    </message>
    <message>
        <source>sealed on {date}</source>
        <translation>versiegelt am {date}</translation>
    </message>
    <message>
        <source>No lesion</source>
        <translation>Keine Läsion</translation>
    </message>
    <message>
        <source>How sure are you of this answer? 0 is a guess, 100 is certain.</source>
        <translation>Wie sicher sind Sie bei dieser Antwort? 0 ist geraten, 100 ist gewiss.</translation>
    </message>
    <message>
        <source>Yes</source>
        <translation>Ja</translation>
    </message>
    <message>
        <source>No</source>
        <translation>Nein</translation>
    </message>
    <message>
        <source>Malignant</source>
        <translation>Bösartig</translation>
    </message>
    <message>
        <source>Benign</source>
        <translation>Gutartig</translation>
    </message>
    <message>
        <source>Reader study</source>
        <translation>Leserstudie</translation>
    </message>
    <message>
        <source>A reading closes the scene, and something is loaded. Save what you need, then click again.</source>
        <translation>Eine Lesesitzung schließt die Szene, und es ist etwas geladen. Speichern Sie, was Sie brauchen, und klicken Sie nochmals.</translation>
    </message>
    <message>
        <source>Close the scene and log in</source>
        <translation>Szene schließen und anmelden</translation>
    </message>
    <message>
        <source>You have read all your cases. Thank you; you are logged out.</source>
        <translation>Sie haben alle Ihre Fälle gelesen. Vielen Dank; Sie sind abgemeldet.</translation>
    </message>
    <message>
        <source>The study file can't be read ({reason}).</source>
        <translation>Die Studiendatei kann nicht gelesen werden ({reason}).</translation>
    </message>
    <message>
        <source>Loading the images</source>
        <translation>Die Bilder werden geladen</translation>
    </message>
    <message>
        <source>Loading the images: {phase} ({number} of {total})</source>
        <translation>Die Bilder werden geladen: {phase} ({number} von {total})</translation>
    </message>
    <message>
        <source>The files of this case are missing or were changed, so it can't be read. Ask the coordinator, who finds them with `liverai study verify --files`.</source>
        <translation>Die Dateien dieses Falls fehlen oder wurden geändert, daher kann er nicht gelesen werden. Fragen Sie die Studienleitung; sie findet sie mit `liverai study verify --files`.</translation>
    </message>
    <message>
        <source>This case can't be shown. Try again, or ask the coordinator.</source>
        <translation>Dieser Fall kann nicht gezeigt werden. Versuchen Sie es nochmals oder fragen Sie die Studienleitung.</translation>
    </message>
    <message>
        <source>Loading the AI's result</source>
        <translation>Das Ergebnis der KI wird geladen</translation>
    </message>
</context>
</TS>
