"""Imports aiogram without building its 600 models: 1 s and 60 MB instead of 4 s and 190 MB.

A primary that starts is a gap in polling, so its start must be short. pydantic can put off
building a model until it is first used (`defer_build`), but aiogram has no switch for it, and its
types force the build in the end, only to hand over the names that their annotations use. So for
the time of the import: switch it on for all models, and let `model_rebuild` merely note the names.
"""

from typing import Any

from pydantic import BaseModel
from pydantic._internal._model_construction import build_lenient_weakvaluedict


def _note_names(cls: type[BaseModel], *, _types_namespace: dict[str, Any]) -> None:
    cls.__pydantic_parent_namespace__ = build_lenient_weakvaluedict(_types_namespace)


_config, _rebuild = BaseModel.model_config, BaseModel.__dict__["model_rebuild"]
BaseModel.model_config = {"defer_build": True}
BaseModel.model_rebuild = classmethod(_note_names)  # type: ignore[assignment,method-assign]
try:
    import aiogram.types  # noqa: F401 - imported for its effect
finally:
    BaseModel.model_config = _config
    BaseModel.model_rebuild = _rebuild  # type: ignore[method-assign]
