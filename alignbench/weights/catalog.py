"""`Catalog`: the models of one side by name, and the way from a user's spec to a handle."""

from __future__ import annotations

import inspect
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any, Generic, Literal, TypeAlias, TypeVar

from alignbench.errors import ModelError
from alignbench.weights.arrays import arrays
from alignbench.weights.custom import Custom, adopt
from alignbench.weights.handle import Handle
from alignbench.weights.packages import PackageSource
from alignbench.weights.parts import part_source
from alignbench.weights.recipe import CatalogEntry, at_hand, embedded_source, folder_source, plain_source
from alignbench.weights.source import FolderSource, HubSource
from alignbench.weights.spec import Spec, parse_spec

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from alignbench.registry import Registry
    from alignbench.weights.family import ModelFamily, ModelOptions
    from alignbench.weights.source import Source
    from alignbench.weights.spec import Kind

    # A spec, and whether a pickle may be read -> the family (None if its configuration says it) and the
    # source.
    Finder: TypeAlias = Callable[[Spec, bool], tuple[ModelFamily | None, Source]]

H = TypeVar("H", bound=Handle[Any, Any, Any])


@dataclass(frozen=True)
class Catalog(Generic[H]):
    """The models of one side.

    Args:
        handle: the class of its handles.
        noun: what one of them is called: "encoder", "LLM".
        entries: by name: a `CatalogEntry` for a model of ours, or anything with `embed`: an object, a class
            or function that makes one.
        families: the families of the entries, by name.
        kinds: how specs are read that are not names, repositories, folders or arrays.
        needs: the files besides the weights that its models can't do without.
        section: the section of the configuration that names repositories.
        elsewhere: the option that takes models of the other side.
    """

    handle: type[H]
    noun: str
    entries: Registry[object]
    families: Mapping[str, ModelFamily]
    kinds: Mapping[Kind, Finder]
    needs: tuple[str, ...]
    section: Literal["vision_encoders", "llms"]
    elsewhere: str

    @property
    def side(self) -> Literal["vision", "text"]:
        """The side of a pair that its models form."""
        return self.handle.side

    def parse(self, spec: str, sources: Mapping[str, str] | None) -> Spec:
        """Parse a spec.

        Raises:
            UnknownNameError: nothing has that name.
            ConfigError: the alias or the form of the spec is invalid.
        """
        return parse_spec(spec, self.noun, [*self.entries.names(), *self._sources(sources)])

    def resolve(
        self,
        spec: Spec,
        options: ModelOptions,
        *,
        standins: bool,
        allow_pickle: bool,
        sources: Mapping[str, str] | None,
    ) -> H | Custom:
        """Return the model that a spec names, as a handle that has loaded nothing yet.

        Args:
            spec: the parsed spec.
            options: the options of the side's models.
            standins: whether the built-in toy model of the same family may run if the weights are not
                available.
            allow_pickle: whether weights may be a pickle (read with `weights_only=True`).
            sources: name -> Hub repository, folder or package; None for those of the configuration.

        Raises:
            UnknownNameError: nothing has that name.
            ModelError: the family lacks what was requested, or has no built-in stand-in; or a registered
                object or an array was given an option that only a model of ours can follow.
            WeightsMissingError: the folder or file is not there.
        """
        if spec.kind == "npy":
            return arrays(spec, self.side, l2=options.l2, asked=options.asked())
        if spec.kind != "name":
            family, source = self._find(spec, allow_pickle)
            return self.handle(spec.alias, part_source(source, spec.part), options, family=family)
        if spec.part:
            return self._part(spec, options, allow_pickle, self._sources(sources))
        entry = self.entries.get(spec.target) if spec.target in self.entries else CatalogEntry("")
        if not isinstance(entry, CatalogEntry):
            made = entry() if inspect.isclass(entry) or inspect.isfunction(entry) else entry
            return adopt(made, spec.alias, self.side, l2=options.l2, asked=options.asked())
        if entry.source is not None:
            source, family = entry.source(), self.families.get(entry.family)
        else:
            family, source = self._configured(spec, entry, self._sources(sources), allow_pickle)
        handle = self.handle(spec.alias, source, options, family=family, weights=entry.weights)
        if not standins or entry.weights != "pretrained" or at_hand(source, handle.wanted):
            return handle
        if entry.stand_in is None:
            raise ModelError(
                f"{spec.alias}: there is no built-in toy model of its family that could stand in for it"
            )
        return self.handle(
            entry.stand_in,
            embedded_source(entry.stand_in),
            options,
            family=self.families[entry.family],
            weights="stand-in",
            stand_in_for=spec.alias,
        )

    def _part(self, spec: Spec, options: ModelOptions, allow_pickle: bool, sources: Mapping[str, str]) -> H:
        """Return a part of a VLM that the configuration names."""
        if spec.target not in sources:
            raise ModelError(f"{spec.alias}: {spec.target} is no VLM, so there is no #{spec.part} of it")
        _, source = self._configured(spec, CatalogEntry(""), sources, allow_pickle)
        if isinstance(source, PackageSource):
            raise ModelError(f"{spec.alias}: {source.label} is no VLM, so there is no #{spec.part} of it")
        if source.part:
            raise ModelError(
                f"{spec.alias}: the configuration's {spec.target} is already a part of a VLM "
                f"({source.label}); leave out #{spec.part}"
            )
        return self.handle(spec.alias, part_source(source, spec.part), options)

    def _find(self, spec: Spec, allow_pickle: bool) -> tuple[ModelFamily | None, Source]:
        if spec.kind == "hf":
            return None, HubSource(
                spec.target, spec.detail, spec.alias, allow_pickle=allow_pickle, needs=self.needs
            )
        if spec.kind == "folder":
            return None, folder_source(spec.target, allow_pickle=allow_pickle)
        if spec.kind in self.kinds:
            return self.kinds[spec.kind](spec, allow_pickle)
        raise ModelError(f"{spec.alias}: a {spec.kind} model is no {self.noun}; give it to {self.elsewhere}")

    def _configured(
        self, spec: Spec, recipe: CatalogEntry, sources: Mapping[str, str], allow_pickle: bool
    ) -> tuple[ModelFamily | None, Source]:
        if spec.target not in sources:
            raise ModelError(f"{spec.target}: the configuration names no repository for it ({self.section}:)")
        kind, _, package = sources[spec.target].partition(":")
        if kind == "pip":
            return self._find(replace(spec, kind="pip", target=package), allow_pickle)
        source = plain_source(
            sources[spec.target],
            name=spec.alias,
            noun=self.noun,
            stand_in=recipe.stand_in,
            allow_pickle=allow_pickle,
            needs=self.needs,
        )
        # A folder says itself what it is, whatever name the configuration gave it.
        told = isinstance(source, FolderSource) or bool(source.part)
        return None if told else self.families.get(recipe.family), source

    def _sources(self, sources: Mapping[str, str] | None) -> Mapping[str, str]:
        if sources is not None:
            return sources
        from alignbench.config import load_config

        config = load_config()
        return config.encoders if self.side == "vision" else config.llms
