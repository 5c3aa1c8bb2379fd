"""The part of comparing inverters that takes long: inversions and edits, each done once and kept as files.

`<out>/<inverter>/<photograph>.npz` holds latents, `.json` what was measured while working, and
`<photograph>@<edit>.png` pictures of at most `photographs.SIDE` pixels, from which everything else is judged.
"""

import hashlib
import json
import time
from dataclasses import asdict, dataclass, fields, replace
from functools import cached_property
from pathlib import Path
from typing import Any

from PIL import Image

import latents
from backends import Images, cache, losses
from backends.inverters import Inversion
from backends.photos import to_images, to_pil
from editor import Editor
from evaluation.edits import Match, Trial
from evaluation.effects import read_json, write_json
from evaluation.photographs import Photograph, shrunk
from evaluation.scorers import Scorer
from evaluation.settings import MatchedEdit

INVERSION, STORED = "zero", "stored"  # pictures beside those of edits: unedited, and out of the latents file
SAME = 2e-5  # mean squared difference up to which a stored inversion draws the picture that was inverted


@dataclass
class Work:
    """What one inverter makes of photographs. Nothing is done twice, unless settings have changed."""

    editor: Editor
    label: str  # of the inverter
    folder: Path
    scorers: list[Scorer]

    def __post_init__(self) -> None:
        self.folder.mkdir(parents=True, exist_ok=True)

    def done(self, photograph: Photograph, edits: dict[str, MatchedEdit]) -> dict[str, Any]:
        """The record of one photograph.

        `seconds`, `processor` and `first` (seconds), `bytes` of the latents file, `exact` (whether the
        unedited picture is the crop itself), `stored_same` (whether the file draws the same), and `edits`: of
        each the fields of `Match`, and maybe `round_trip`.
        """
        record = read_json(self._file(photograph, ".json"))
        inversion = None
        if record.get("key") != self._key(photograph) or not self._file(photograph, ".npz").is_file():
            inversion, record = self._inverted(photograph)
        wanted = {k: edit for k, edit in edits.items() if not _up_to_date(record["edits"].get(k, {}), edit)}
        if wanted:
            inversion = inversion or self._restored(photograph, record)
            trial = Trial(self.editor, self.scorers, photograph, inversion)
        for name, edit in wanted.items():
            record["edits"][name] = self._edited(name, edit, trial, record["edits"].get(name, {}))
            write_json(self._file(photograph, ".json"), record)
        return record

    def picture(self, photograph: Photograph, name: str = INVERSION) -> Images:
        """A picture that was drawn before, at most `photographs.SIDE` pixels a side."""
        with Image.open(self._file(photograph, f"@{_plain(name)}.png")) as image:
            return to_images(image, image.width)

    def _file(self, photograph: Photograph, ending: str) -> Path:
        return self.folder / f"{photograph.stem}{ending}"

    def _key(self, photograph: Photograph) -> str:
        """Changes with the settings of the inverter, the generator, and the crop."""
        inverter = self.editor.inverter(self.label)
        settings = [type(inverter).__module__, asdict(inverter)]  # type: ignore[call-overload]
        parts = [*settings, self.editor.generator.fingerprint, photograph.digest]
        return hashlib.sha256(json.dumps(parts, sort_keys=True, default=str).encode()).hexdigest()[:32]

    def _inverted(self, photograph: Photograph) -> tuple[Inversion, dict[str, Any]]:
        _ = self._warm
        inversion, times = self._run(photograph.crop)
        drawn = to_pil(inversion.generator.render(inversion.latents))[0]
        self._save(photograph, INVERSION, to_images(drawn, drawn.width))
        file = self._file(photograph, ".npz")
        with cache.whole(file) as partial:
            latents.save(partial, inversion.latents, self.editor.name, inversion.generator, [photograph.name])
        stored = self._stored(photograph)
        again = stored.generator.render(stored.latents)
        self._save(photograph, STORED, again)
        same = losses.pixel(shrunk(again), self.picture(photograph))
        record = {
            "key": self._key(photograph),
            **times,
            "bytes": file.stat().st_size,
            "exact": drawn.tobytes() == photograph.crop.tobytes(),
            "stored_same": float(same) < SAME,
            "edits": {},
        }
        write_json(self._file(photograph, ".json"), record)
        return inversion, record

    def _run(self, crop: Image.Image) -> tuple[Inversion, dict[str, float]]:
        """The result, and the seconds that it took; drawing is counted only until the first picture."""
        found, times = None, {}
        wall, processor = time.perf_counter(), time.process_time()
        for found in self.editor.invert(crop, self.label):
            if not times:
                found.generator.render(found.latents)
                times["first"] = time.perf_counter() - wall
        assert found is not None, "an inverter yields at least once"
        times |= {"seconds": time.perf_counter() - wall, "processor": time.process_time() - processor}
        return found, times

    @cached_property
    def _warm(self) -> None:
        """Loads and compiles what the first inversion would have to wait for."""
        size = self.editor.generator.size
        run = iter(self.editor.invert(Image.new("RGB", (size, size), "gray"), self.label))
        inversion = next(run)
        inversion.generator.render(inversion.latents)

    def _stored(self, photograph: Photograph) -> Inversion:
        """As the latents file has it."""
        saved = latents.load(self._file(photograph, ".npz"))
        generator = saved.decoding(self.editor.generator)
        codes = latents.fit(saved.values, generator.layers, generator.dim).to(generator.mean())
        return Inversion(codes, generator)

    def _restored(self, photograph: Photograph, record: dict[str, Any]) -> Inversion:
        """The stored inversion; a new one where a decoder keeps in memory what no file holds."""
        return self._stored(photograph) if record["stored_same"] else self._run(photograph.crop)[0]

    def _edited(self, name: str, edit: MatchedEdit, trial: Trial, before: dict[str, Any]) -> dict[str, Any]:
        """The record of an edit; of the record `before` the strength is kept if it was the same edit."""
        settings = asdict(replace(edit, again=False))
        if before.get("settings") == settings:
            match = Match(*(before[field.name] for field in fields(Match)))
        else:
            match = trial.find(edit)
        whole = trial.whole({match.direction: match.strength})
        self._save(trial.photograph, name, whole)
        record = asdict(match) | {"reached": match.reached, "settings": settings}
        return record | ({"round_trip": self._round_trip(trial, match, whole)} if edit.again else {})

    def _round_trip(self, trial: Trial, match: Match, whole: Images) -> float:
        """Mean squared error, where the photograph is seen, after inverting the edit and undoing it."""
        [edited] = to_pil(whole)
        second, _ = self._run(edited)
        undone = shrunk(trial.whole({match.direction: -match.strength}, second))
        seen = trial.photograph.seen.float()
        return float(losses.pixel(undone, trial.photograph.images, seen / seen.mean()))

    def _save(self, photograph: Photograph, name: str, whole: Images) -> None:
        with cache.whole(self._file(photograph, f"@{_plain(name)}.png")) as partial:
            to_pil(shrunk(whole))[0].save(partial)


def _up_to_date(record: dict[str, Any], edit: MatchedEdit) -> bool:
    if edit.again and "round_trip" not in record:
        return False
    return record.get("settings") == asdict(replace(edit, again=False))


def _plain(name: str) -> str:
    """As a part of a file name."""
    return "".join(letter if letter.isalnum() else "_" for letter in name)
