"""The protocol that `liverai study new` writes, to be filled in."""

TEMPLATE = """\
# Protocol of a reader study with LiverAI. YAML; what follows a # is a comment.
# Fill it in, then: liverai study create THIS_FILE -o study.sqlite
# Nothing is fixed until `liverai study seal study.sqlite`; afterwards only dated amendments are possible.

title: Liver lesions with and without LiverAI

# crossed:    every reader reads every case twice, in two periods with a washout between them: once without the AI and
#             once with it, in balanced order.
# sequential: every case is read once without the AI and, right after that answer is locked, again with it.
design: crossed
arms:
  - {name: unassisted, assisted: false}
  - {name: assisted, assisted: true}
arm_order: mixed          # within a period: mixed (at random), or blocks (first all of one arm, then the other)
washout_days: 30          # least time between a reader's two readings of one case (crossed design)
seed: 20260101            # all orders follow from it; change it once, to a number of your own

# A code for each reader, never a name. Readers log in with it.
readers:
  - {code: R1, experience_years: 5}
  - {code: R2, experience_years: 12}
  - {code: R3}

# The one comparison that the study is about: first minus second.
primary:
  merit: AUC              # AUC, accuracy, sensitivity, specificity or wAFROC
  target: HCC             # the positive class: HCC or malignant
  first: assisted
  second: unassisted
  # margin: 0.05          # makes it a test of non-inferiority with this margin; without it: superiority
  sampling: random readers, random cases   # or: fixed readers, random cases / random readers, fixed cases
alpha: 0.05

# When a mark has found a lesion: in lesion (the click lies in it), distance (distance_mm from its centre),
# overlap (of boxes: min_iou or min_iom; needs box: true at the question marks).
hit_rule: {kind: in lesion}

# Kinds: hcc (yes, no), verdict (malignant, benign, no lesion), type (seven types, no lesion), marks, text.
# confidence: ask 0 to 100 for how sure the reader is of the answer ("no, 90" is kept as P(HCC) = 10 as well).
questions:
  - {kind: hcc, ask: "Does this patient have hepatocellular carcinoma?", confidence: true}
  - {kind: verdict, ask: "Malignant, benign, or no lesion?", confidence: true}
  - {kind: type, ask: "Which type is the worst lesion?"}
  - {kind: marks, ask: "Mark every lesion.", confidence: true, type: true}
  - {kind: text, id: remarks, ask: "Remarks"}

idle_seconds: 60          # without mouse and keyboard for longer than this, the time counts as idle

# The model packages that the AI's results must come from, with the SHA-256 of their weights. Empty: whatever
# `liverai study prepare` uses is recorded.
bundles: {}

# The cases, here or in a table: "cases: cases.csv", with the columns name, input (or non_contrast, arterial,
# portal_venous, delayed), training, hcc, verdict, type, and mask with types ("hcc;cyst": the labels 1 and 2).
# name and input are yours alone: readers see neither. Paths are relative to this file.
# truth: say what is known; the rest follows (type hcc means malignant). Lesion types: hcc, icc, metastasis, fnh,
# haemangioma, cyst, abscess. lesions: [] when there is none; left out when their places are not known.
cases:
  - name: practice
    input: exams/practice           # a folder of DICOM, or a file
    training: true                  # training cases come first and are never analysed
    truth: {verdict: no lesion}
  - name: first
    input: {arterial: exams/first/art.nii.gz, portal_venous: exams/first/pv.nii.gz}
    clinical: {age: 61, sex: male, hepatitis: true}
    truth:
      lesions:
        - {type: hcc, mask: {path: exams/first/lesions.nrrd, label: 1}}
        - {type: cyst, box_lps_mm: [[-70.0, 2.5, 110.0], [-54.0, 18.5, 126.0]]}   # or centre_lps_mm: [x, y, z]
  - name: second
    input: exams/second
    phases: {"4": arterial}         # your word on a series' phase, as `liverai analyze --phase 4=arterial`
    truth: {type: haemangioma}
"""
