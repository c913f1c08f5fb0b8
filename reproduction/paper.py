"""The paper's own figures: Tables 1 to 4 (Siddique, Mozhdehi and Medeiros, BMVC 2021)."""

BOXES = ("IDF1", "MT", "ML", "FN", "IDS", "Frag", "MOTA")
ABLATION = ("sMOTSA", "MT", "IDS", "Frag")

# Table 1, boxes, t_lag = 3, |O| = 3; the columns are BOXES. Its MT and ML are counts of objects.
TABLE_1 = {
    "shape embed": {
        "mnist": (89.1, 944, 0, 304, 5, 132, 98.6),
        "sprites": (86.7, 906, 4, 853, 13, 275, 96.1),
    },
    "loc embed": {
        "mnist": (87.7, 905, 0, 708, 61, 331, 96.5),
        "sprites": (88.2, 920, 0, 689, 56, 347, 96.6),
    },
    "loc + G": {
        "mnist": (86.3, 977, 0, 0, 72, 0, 99.7),
        "sprites": (85.6, 983, 0, 4, 94, 0, 99.6),
    },
    "loc + shape": {
        "mnist": (89.6, 934, 0, 444, 3, 189, 98.0),
        "sprites": (88.9, 912, 0, 734, 8, 314, 96.6),
    },
    "loc + shape + G": {
        "mnist": (100.0, 977, 0, 0, 0, 0, 100.0),
        "sprites": (99.5, 983, 0, 45, 17, 0, 99.7),
    },
}

# What the paper reports of other methods, as its tables have it; "-" where it has nothing.
OTHERS = {
    1: ("columns IDF1, MT, ML, FN, IDS, Frag, MOTA",
        "TBA on MNIST-MOT: 99.6, 978, 0, 49, 22, 7, 99.5",
        "TBA on Sprites-MOT: 99.2, 985, 1, 80, 30, 22, 99.2"),
    2: ("columns sMOTSA car / pedestrian, MOTSA car / pedestrian, MOTSP car / pedestrian",
        "EagerMOT: 74.5 / 58.1, - / -, - / -",
        "GMPHD: 76.9 / 48.8, - / -, 87.1 / 76.4",
        "MOTSFusion: 77.5 / 49.9, 89.2 / 66.6, - / -",
        "MOTSNet: 78.1 / 54.6, 87.2 / 69.3, 89.6 / 79.7",
        "TrackR-CNN: 76.2 / 46.8, 87.8 / 65.1, 87.2 / 75.7"),
    3: ("columns sMOTSA, MOTSA, MOTSP",
        "GMPHD: 65.8, 77.1, 86.1",
        "PointTrack: 58.1, 70.6, -",
        "MOTSNet: 56.8, 69.4, 82.7",
        "TrackR-CNN: 52.7, 66.9, 80.2"),
}  # fmt: skip

# Table 2, KITTI MOTS validation set, public detections: {row: {class: (sMOTSA, MOTSA, MOTSP)}}.
TABLE_2 = {
    "loc + shape + G": {"car": (80.4, 89.5, 90.3), "pedestrian": (55.5, 69.7, 82.8)},
    "loc + app + G": {"car": (80.8, 89.9, 90.3), "pedestrian": (58.3, 72.5, 82.8)},
}

# Table 3, MOTSChallenge, public detections: sMOTSA, MOTSA, MOTSP, MT (percent).
TABLE_3 = {
    "loc + shape": (51.3, 60.1, 86.3, 21.5),
    "loc + shape + G": (65.3, 76.3, 86.3, 53.1),
    "loc + app": (56.1, 65.5, 86.4, 26.3),
    "loc + app + G": (65.5, 76.5, 86.3, 53.1),
}

# Table 4, ground-truth masks: {(t_lag, G, MTL, |K| estimated): ABLATION of MOTSChallenge,
# KITTI MOTS cars, KITTI MOTS pedestrians}.
TABLE_4 = {
    (3, False, False, True): (
        (74.0, 43.9, 962, 1835),
        (77.5, 63.6, 217, 479),
        (62.7, 57.4, 255, 318),
    ),
    (3, False, True, True): (
        (82.6, 62.3, 660, 1416),
        (84.4, 68.2, 115, 348),
        (70.5, 54.4, 138, 258),
    ),
    (3, False, True, False): (
        (84.0, 68.9, 653, 1367),
        (84.7, 70.9, 113, 343),
        (71.7, 52.9, 138, 248),
    ),
    (3, True, True, False): (
        (97.5, 100, 636, 639),
        (98.1, 98.7, 127, 127),
        (95.6, 98.7, 119, 115),
    ),
    (3, True, True, True): ((97.8, 99.6, 548, 548), (98.3, 98.7, 119, 121), (95.6, 98.5, 124, 124)),
    (5, False, False, True): (
        (66.4, 31.1, 939, 2000),
        (75.5, 58.9, 191, 474),
        (53.0, 52.9, 226, 282),
    ),
    (5, False, True, True): (
        (78.9, 50.9, 606, 1476),
        (76.7, 56.3, 97, 408),
        (63.0, 32.4, 100, 238),
    ),
    (5, False, True, False): (
        (80.9, 58.3, 610, 1422),
        (77.4, 55.6, 94, 409),
        (63.2, 36.8, 92, 254),
    ),
    (5, True, True, False): ((97.2, 100, 692, 733), (97.7, 98.7, 160, 171), (94.1, 100, 186, 199)),
    (5, True, True, True): ((97.7, 100, 581, 589), (97.8, 98.7, 162, 162), (94.6, 100, 180, 181)),
    (8, False, False, True): (
        (56.9, 19.7, 897, 1800),
        (71.4, 50.3, 218, 493),
        (46.0, 38.2, 141, 227),
    ),
    (8, False, True, True): ((71.8, 41.7, 447, 1499), (73.0, 47.7, 79, 376), (58.2, 30.9, 83, 246)),
    (8, False, True, False): (
        (73.6, 46.9, 528, 1440),
        (74.8, 47.0, 77, 384),
        (57.5, 35.3, 82, 250),
    ),
    (8, True, True, False): ((97.0, 99.1, 765, 800), (96.8, 98.0, 223, 236), (93.5, 100, 215, 217)),
    (8, True, True, True): ((97.5, 100, 657, 662), (97.2, 98.0, 210, 210), (94.1, 100, 194, 196)),
}

# What the other systems' papers report: sMOTSA of cars and pedestrians on KITTI MOTS' validation
# set (MOTSNet, Table 2; thesis, Table 6.1), and on MOTSChallenge (MOTSNet, Table 3: leaving a
# sequence out; ReMOTS, Table 1: the test set, with its IDF1).
SYSTEM_COLUMNS = ("KITTI car", "KITTI pedestrian", "MOTSChallenge", "IDF1", "frames/s")
SYSTEMS = {
    "TrackR-CNN": (76.2, 46.8, 52.7, None, 4.09),
    "MOTSNet (I, M, KS)": (78.1, 54.6, None, None, None),
    "MOTSNet (I, C)": (None, None, 56.8, None, None),
    "pixel embeddings": (56.3, 24.7, None, None, 6.62),
    "ReMOTS": (None, None, 69.9, 75.0, None),
}
