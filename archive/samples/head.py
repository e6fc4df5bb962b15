"""The anatomy of the synthetic head, painted from the outside in. Schematic, not a model of anyone.

Values are usual ones for CT at 120 kV: fat -90, CSF 6, white matter 28, grey matter 38, fresh blood 65,
cortical bone 1200 and more.
"""

import numpy as np

from archive.samples.painting import AIR_HU, Pixels, Slice, Solid

LOWEST_MM = -98.0
HIGHEST_MM = 94.0
"""Below the crown: viewers open at the top slice, which so shows brain in its bone."""
FIELD_MM = 240.0
NOISE_HU = 3.5

FAT_HU = -90.0
MUSCLE_HU = 52.0
CSF_HU = 6.0
WHITE_MATTER_HU = 28.0
GREY_MATTER_HU = 38.0
BLOOD_HU = 65.0
OEDEMA_HU = 17.0
VITREOUS_HU = 8.0
BONE_HU = 1250.0
SPONGY_BONE_HU = 480.0
ENAMEL_HU = 2400.0

SKULL = Solid((0, 4, 18), (69, 88, 88), exponent=2.2)
SKULL_MM = 6.5
BRAIN = SKULL.grown(-SKULL_MM - 1.5)
LESION = Solid((30, 14, 40), (13, 17, 13), turn_deg=20)
EYE = Solid((31, -69, -20), (12, 12, 12))
"""A point inside the right frontal horn's mirror image, for the tests."""

_HEAD = SKULL.grown(7)
_FACE = Solid((0, -34, -48), (60, 62, 66), exponent=2.4)
_CHIN = Solid((0, -48, -82), (42, 48, 34), exponent=2.3)
_NECK = Solid((0, 18, -92), (56, 58, 68), exponent=2.6)
_BROW = Solid((0, -58, -16), (50, 37, 26), exponent=2.8)
_NOSE = Solid((0, -92, -36), (13, 20, 22))
_EAR = Solid((77, 12, -14), (7, 15, 27), turn_deg=-18)
_BASE_MM = -22.0
_TENTORIUM_MM = -2.0


def paint_head(canvas: Slice) -> None:
    """Paint everything that lies in this slice."""
    _paint_headrest(canvas)
    _paint_soft_tissue(canvas)
    _paint_face(canvas)
    _paint_neck(canvas)
    _paint_skull(canvas)
    _paint_brain(canvas)
    _paint_skull_base(canvas)
    _paint_orbits(canvas)


def noise(slice_index: int, rows: int) -> Pixels:
    """Grain of scanner size, the same at each call; numpy promises RandomState's stream for good."""
    raw = np.random.RandomState(4_021 + slice_index).standard_normal((rows, rows)).astype(np.float32)
    smooth = raw + 0.5 * (np.roll(raw, 1, 0) + np.roll(raw, -1, 0) + np.roll(raw, 1, 1) + np.roll(raw, -1, 1))
    return smooth * np.float32(NOISE_HU / np.sqrt(2))


def _paint_headrest(canvas: Slice) -> None:
    outer = Solid((0, 8, 20), (106, 108, 400))
    cup = canvas.share_of(outer) - canvas.share_of(outer.grown(-5))
    canvas.blend(cup * (canvas.y > 72), -180)
    rim = canvas.share_of(outer) - canvas.share_of(outer.grown(-1))
    canvas.blend(rim * (canvas.y > 72), 60)


def _paint_soft_tissue(canvas: Slice) -> None:
    """Skin, fat under it, muscle; the outline is the union of a few solids."""
    parts = (_HEAD, _BROW, _FACE, _CHIN, _NECK)
    for inset_mm, hu in ((0.0, 45.0), (2.0, FAT_HU)):
        for part in parts:
            canvas.paint(part.grown(-inset_mm), hu)
    canvas.paint(_NOSE, 40)
    canvas.paint_both(_EAR, 30)
    for part, inset_mm in ((_HEAD, 5.5), (_BROW, 5.0), (_FACE, 9.0), (_CHIN, 8.0), (_NECK, 8.0)):
        canvas.paint(part.grown(-inset_mm), MUSCLE_HU)
    canvas.paint_both(Solid((50, -36, -52), (6, 14, 22), turn_deg=25), FAT_HU)  # fat of the cheek
    canvas.paint_both(Solid((66, -18, -4), (6, 24, 34), turn_deg=-8), MUSCLE_HU)  # temporal muscle


def _paint_face(canvas: Slice) -> None:
    """Facial bones, sinuses, nose, mouth and jaw."""
    canvas.paint(Solid((0, -62, -44), (40, 27, 23), exponent=2.6), 300)  # mid-face, mostly thin bone
    canvas.paint_both(Solid((50, -54, -36), (13, 5, 6), turn_deg=-35), BONE_HU)  # cheek bone
    canvas.paint_both(Solid((61, -32, -34), (3, 22, 4), turn_deg=-10), BONE_HU)  # zygomatic arch
    for grow_mm, hu in ((2.0, BONE_HU), (0.0, AIR_HU)):
        canvas.paint_both(Solid((26, -60, -48), (13, 17, 15), turn_deg=-18, exponent=2.4).grown(grow_mm), hu)
    for grow_mm, hu in ((1.8, 900.0), (0.0, AIR_HU)):
        canvas.paint(Solid((0, -68, -44), (11, 30, 21), exponent=2.8).grown(grow_mm), hu)
    canvas.paint(Solid((0.6, -68, -44), (1.2, 28, 20), exponent=4), 260)  # septum
    for y_mm in (-82.0, -68.0, -54.0):
        canvas.paint_both(Solid((7, y_mm, -48), (2.6, 8, 9)), MUSCLE_HU)  # turbinates
    canvas.paint(Solid((0, -100, -46), (7, 10, 5)), 0)
    canvas.paint_both(Solid((4, -101, -48), (2.6, 7, 6)), AIR_HU)  # nostrils
    canvas.paint(Solid((0, -60, -66), (30, 26, 4), exponent=3), 800)  # palate
    _paint_arch(canvas, z_mm=-70, height_mm=6, teeth=True)
    canvas.paint(Solid((0, -52, -82), (24, 30, 16)), 58)  # tongue
    canvas.paint(Solid((0, -60, -68), (19, 20, 1.6)), AIR_HU)
    _paint_arch(canvas, z_mm=-78, height_mm=4, teeth=True)
    _paint_arch(canvas, z_mm=-87, height_mm=9, teeth=False)
    for grow_mm, hu in ((0.0, BONE_HU), (-2.2, SPONGY_BONE_HU)):
        ramus = Solid((44, -18, -62), (5.5, 15, 30), turn_deg=10, exponent=2.6)
        canvas.paint_both(ramus.grown(grow_mm), hu)
    canvas.paint_both(Solid((49, -4, -32), (8, 5, 6)), BONE_HU)  # condyle of the jaw
    canvas.paint_both(Solid((53, -20, -68), (4.5, 15, 22), turn_deg=10), MUSCLE_HU)  # masseter


def _paint_arch(canvas: Slice, *, z_mm: float, height_mm: float, teeth: bool) -> None:
    """A horseshoe of jaw bone, or of teeth in it."""
    if abs(canvas.z_mm - z_mm) > height_mm + 6:
        return
    for step in range(-20, 21):
        angle = step / 20 * 1.25
        x_mm, y_mm = 35 * np.sin(angle) * (1 + 0.12 * abs(angle)), -50 - 36 * np.cos(angle) + 12 * abs(angle)
        centre = (float(x_mm), float(y_mm), z_mm)
        if not teeth:
            canvas.paint(Solid(centre, (6, 6, height_mm)), BONE_HU)
        elif step % 3 == 0:
            canvas.paint(Solid(centre, (3.1, 4.1, height_mm), turn_deg=float(np.rad2deg(angle))), ENAMEL_HU)
        else:
            canvas.paint(Solid(centre, (1.2, 3.4, height_mm)), 700)
    if not teeth:
        for step in range(-20, 21, 2):
            angle = step / 20 * 1.2
            x_mm, y_mm = 35 * np.sin(angle) * (1 + 0.12 * abs(angle)), -50 - 36 * np.cos(angle) + 12 * abs(angle)
            canvas.paint(Solid((float(x_mm), float(y_mm), z_mm), (3, 3, height_mm - 3)), SPONGY_BONE_HU)


def _paint_neck(canvas: Slice) -> None:
    """Airway, spine with its canal, the muscles around it, vessels."""
    if canvas.z_mm > -20:
        return
    canvas.paint_both(Solid((30, 38, -90), (20, 18, 50), turn_deg=30), MUSCLE_HU + 6)
    canvas.paint_both(Solid((12, 56, -90), (11, 12, 60)), MUSCLE_HU + 6)
    canvas.paint_both(Solid((33, 4, -80), (4.5, 4.5, 45)), 48)  # carotid and jugular
    canvas.paint_both(Solid((38, -2, -80), (5, 4, 45)), 45)
    canvas.paint(Solid((0, -14, -70), (12, 7, 44), exponent=2.4), AIR_HU)
    for z_mm, tall_mm in ((-44.0, 9.0), (-62.0, 9.5), (-80.0, 8.5), (-98.0, 8.5)):
        body = Solid((0, 12, z_mm), (13, 9, tall_mm), exponent=3)
        canvas.paint(body, BONE_HU)
        canvas.paint(body.grown(-2), SPONGY_BONE_HU)
        ring = Solid((0, 30, z_mm), (20, 16, tall_mm - 1), exponent=2.2)
        canvas.paint(ring, 850)
        canvas.paint_both(Solid((25, 20, z_mm), (10, 6, 5)), 700)
        canvas.paint(Solid((0, 48, z_mm - 3), (3, 9, 4)), 900)
    canvas.paint(Solid((0, 29, -80), (12.5, 9.5, 70)), CSF_HU)
    canvas.paint(Solid((0, 28.5, -80), (7, 5, 70)), 34)


def _paint_skull(canvas: Slice) -> None:
    """The vault: two hard tables with spongy bone between, open below the base."""
    if canvas.z_mm < _BASE_MM - 24:
        return
    outer = canvas.share_of(SKULL)
    inner = canvas.share_of(SKULL.grown(-SKULL_MM))
    spongy = canvas.share_of(SKULL.grown(-1.8)) - canvas.share_of(SKULL.grown(-SKULL_MM + 1.8))
    low = canvas.z_mm < _BASE_MM
    where = (canvas.y > 8) & (np.abs(canvas.x) > -1) if low else np.ones_like(outer, dtype=bool)
    canvas.blend((outer - inner) * where, BONE_HU)
    canvas.blend(np.clip(spongy, 0, 1) * where, SPONGY_BONE_HU)
    angle = np.arctan2(canvas.y - 4, canvas.x)
    for at in (0.0, np.pi, np.pi / 2 + 0.75, np.pi / 2 - 0.75):  # coronal and lambdoid sutures
        gap = np.abs(np.angle(np.exp(1j * (angle + 0.42 * np.sign(np.sin(at) or -1) - at)))) < 0.006
        canvas.blend((outer - inner) * gap * where * 0.5, 250)


def _paint_brain(canvas: Slice) -> None:
    """CSF, cortex with sulci, white matter, nuclei, ventricles, the bleeding, then cerebellum and stem."""
    if canvas.z_mm < _BASE_MM - 22:
        return
    room = canvas.share_of(SKULL.grown(-SKULL_MM)) * _above_base(canvas)
    canvas.blend(room, CSF_HU)
    brain = canvas.share_of(BRAIN) * _above_base(canvas)
    folds = _folds(canvas)
    sulci = np.clip(1 - folds / 0.16, 0, 1) * (canvas.share_of(BRAIN) - canvas.share_of(BRAIN.grown(-15)))
    canvas.blend(brain, GREY_MATTER_HU)
    depth = canvas.share_of(BRAIN.grown(-4)) * np.clip((folds - 0.3) / 0.2, 0, 1)
    white = np.maximum(depth, canvas.share_of(BRAIN.grown(-17))) * brain
    canvas.blend(white, WHITE_MATTER_HU)
    canvas.blend(np.clip(sulci, 0, 1) * brain, CSF_HU)
    _paint_nuclei(canvas, brain)
    _paint_midline(canvas, brain)
    _paint_ventricles(canvas, brain)
    canvas.paint(LESION.grown(7), OEDEMA_HU, brain)
    canvas.paint(LESION, BLOOD_HU, brain)
    _paint_hindbrain(canvas, brain)


def _above_base(canvas: Slice) -> Pixels:
    """Which pixels lie above the slanted base: the front fossa is higher than the back one."""
    floor = np.interp(canvas.y, (-44.0, -26.0, -6.0, 8.0, 26.0), (-11.0, -14.0, -23.0, -30.0, -41.0)) + 0 * canvas.x
    share: Pixels = np.clip((canvas.z_mm - floor) / 3 + 0.5, 0, 1).astype(np.float32)
    return share


def _folds(canvas: Slice) -> Pixels:
    """Distance-like pattern, near 0 along winding lines: where the sulci run."""
    x, y, z = canvas.x / 9.5, canvas.y / 9.5, canvas.z_mm / 13.0
    bend = np.sin(1.3 * y + 0.8 * z) + np.cos(1.1 * x - 0.6 * z)
    wave = np.sin(1.9 * x + 1.1 * bend + 0.5 * z) + np.cos(1.8 * y - 0.9 * bend + 0.9 * z)
    pattern: Pixels = np.abs(wave).astype(np.float32)
    return pattern


def _paint_nuclei(canvas: Slice, brain: Pixels) -> None:
    canvas.paint_both(Solid((23, -6, 18), (7, 17, 11), turn_deg=-14), GREY_MATTER_HU + 1, brain)
    canvas.paint_both(Solid((11, 10, 20), (8, 13, 9), turn_deg=18), GREY_MATTER_HU, brain)
    canvas.paint_both(Solid((14, -22, 28), (4.5, 9, 11), turn_deg=12), GREY_MATTER_HU + 1, brain)
    canvas.paint_both(Solid((42, -2, 14), (1.6, 20, 16), turn_deg=-6), CSF_HU + 6, brain)  # Sylvian fissure
    canvas.paint_both(Solid((38, -2, 14), (2.2, 17, 12), turn_deg=-6), GREY_MATTER_HU, brain)  # insula


def _paint_midline(canvas: Slice, brain: Pixels) -> None:
    if canvas.z_mm < _TENTORIUM_MM:
        return
    callosum = canvas.share_of(Solid((0, 4, 30), (30, 34, 18)))
    cleft = np.clip(1.6 - np.abs(canvas.x + 0.3 * np.sin(canvas.y / 9.0)), 0, 1) * (1 - callosum)
    canvas.blend(cleft.astype(np.float32) * brain, CSF_HU + 4)
    falx = (np.clip(0.9 - np.abs(canvas.x), 0, 1) * (1 - callosum) * (canvas.z_mm > 22)).astype(np.float32)
    canvas.blend(falx * brain, 62)


def _paint_ventricles(canvas: Slice, brain: Pixels) -> None:
    for solid in (
        Solid((9, -22, 32), (4.5, 15, 9), turn_deg=16),
        Solid((11, 4, 38), (5, 26, 7), turn_deg=-6),
        Solid((21, 34, 28), (6.5, 17, 10), turn_deg=-22),
        Solid((22, 54, 22), (3.5, 12, 6), turn_deg=10),
        Solid((31, 8, 0), (2.4, 14, 4), turn_deg=-14),
    ):
        canvas.paint_both(solid, CSF_HU, brain)
    canvas.paint(Solid((0, -22, 34), (1.0, 13, 10)), 33, brain)  # septum pellucidum
    canvas.paint(Solid((0, 2, 17), (2.2, 15, 11)), CSF_HU, brain)
    canvas.paint_both(Solid((20, 32, 26), (2, 4.5, 3)), 150, brain)  # calcified choroid plexus
    canvas.paint(Solid((0, 24, 17), (2.4, 2.4, 3.8)), 190, brain)  # pineal gland


def _paint_hindbrain(canvas: Slice, brain: Pixels) -> None:
    back = brain * (canvas.y > 10)
    canvas.paint(Solid((0, 42, -20), (50, 34, 22), exponent=2.3).grown(2.5), CSF_HU, back)
    canvas.paint(Solid((0, 42, -20), (50, 34, 22), exponent=2.3), GREY_MATTER_HU, back)
    canvas.paint_both(Solid((20, 42, -18), (14, 14, 11)), WHITE_MATTER_HU + 2, back)
    ambient = Solid((0, 14, -14), (21, 19, 26))
    canvas.paint(ambient, CSF_HU, brain)
    canvas.paint(Solid((0, 13, -16), (14, 13, 30)), 31, brain)
    canvas.paint(Solid((0, 33, -18), (7, 5.5, 9)), CSF_HU, brain)
    canvas.paint(Solid((0, -16, -12), (11, 9, 8)), CSF_HU, brain)  # suprasellar cistern


def _paint_skull_base(canvas: Slice) -> None:
    """Bone between brain and face: front and middle fossa floors, petrous bones, clivus, sinuses."""
    canvas.paint(Solid((0, -50, -13), (46, 30, 4.5), exponent=3), 900)
    canvas.paint_both(Solid((38, -14, -26), (24, 20, 5), exponent=2.6), 900)
    canvas.paint_both(Solid((52, -32, -14), (4, 20, 16), turn_deg=-32), BONE_HU)  # greater wing
    canvas.paint_both(Solid((34, 10, -22), (27, 8, 10), turn_deg=32), BONE_HU + 250)  # petrous ridge
    canvas.paint_both(Solid((58, 22, -30), (10, 15, 19)), 700)  # mastoid
    for x_mm, y_mm, z_mm in ((55, 16, -24), (62, 20, -22), (57, 27, -28), (62, 28, -34), (55, 20, -36), (60, 17, -31)):
        canvas.paint_both(Solid((x_mm, y_mm, z_mm), (3.4, 3.6, 4)), -850)  # its air cells
    canvas.paint_both(Solid((60, 4, -23), (14, 3.4, 3.4)), -950)  # ear canal
    canvas.paint_both(Solid((40, 6, -21), (3, 3, 3)), -700)
    canvas.paint(Solid((0, -4, -30), (13, 9, 15), turn_deg=0), 950)  # clivus
    for grow_mm, hu in ((2.0, BONE_HU), (0.0, AIR_HU)):
        canvas.paint_both(Solid((6.5, -26, -24), (6, 11, 8)).grown(grow_mm), hu)  # sphenoid sinus
    canvas.paint(Solid((0, 34, -43), (44, 36, 5), exponent=2.4), 900)  # floor of the back fossa
    canvas.paint(Solid((0, 32, -42), (15, 17, 12)), CSF_HU)  # foramen magnum
    canvas.paint(Solid((0, 30, -42), (8, 8, 14)), 33)
    for grow_mm, hu in ((2.0, BONE_HU), (0.0, AIR_HU)):
        canvas.paint_both(Solid((9, -79, 0), (8, 4, 10), turn_deg=14).grown(grow_mm), hu)  # frontal sinus


def _paint_orbits(canvas: Slice) -> None:
    """Sockets with fat, eye, lens, muscles and nerve; the cells between them."""
    socket = Solid((29, -62, -20), (19, 26, 17), turn_deg=16)
    canvas.paint_both(socket.grown(2.2), BONE_HU)
    canvas.paint_both(socket, FAT_HU)
    canvas.paint_both(Solid((31, -86, -20), (20, 9, 15)), 38)  # lids
    canvas.paint_both(EYE.grown(1.2), 48)
    canvas.paint_both(EYE, VITREOUS_HU)
    canvas.paint_both(Solid((31, -78.6, -20), (4.6, 2.2, 4.6)), 92)
    canvas.paint_both(Solid((44, -58, -20), (1.9, 14, 5), turn_deg=28), MUSCLE_HU)
    canvas.paint_both(Solid((19, -58, -20), (1.9, 14, 5), turn_deg=6), MUSCLE_HU)
    canvas.paint_both(Solid((25, -47, -20), (2.0, 12, 2.4), turn_deg=24), 42)
    for row in range(4):
        for grow_mm, hu in ((1.0, 800.0), (0.0, AIR_HU)):
            canvas.paint_both(Solid((4.6, -76 + 9.5 * row, -18), (3.6, 4, 9)).grown(grow_mm), hu)
    canvas.paint(Solid((0, -90, -17), (4, 5, 10)), BONE_HU)  # bridge of the nose
