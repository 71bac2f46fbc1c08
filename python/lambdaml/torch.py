"""Training of PyTorch modules by LambdaML's workers.

PyTorch is only used to export the module and to take in what was learned: the workers are processes with
a libtorch of their own.
"""

from __future__ import annotations

import json
import os
from collections.abc import Iterable, Iterator
from typing import Any, Callable, Optional, Union

import torch

from . import _checks, _lambdaml, _options, _parts, _safetensors
from ._dataset import Dataset
from ._errors import DataCorrupt, InvalidArgument, shown, suggestion
from ._job import Fresh
from ._progress import counted
from ._run import Run, _callbacks_of
from ._temporary import Folder
from ._types import Callbacks, Place

__all__ = ["TorchRun", "train"]

_LOSSES = ("cross_entropy", "bce_with_logits", "mse", "l1", "huber")
_FUNCTIONS = {
    torch.nn.functional.cross_entropy: "cross_entropy",
    torch.nn.functional.binary_cross_entropy_with_logits: "bce_with_logits",
    torch.nn.functional.mse_loss: "mse",
    torch.nn.functional.l1_loss: "l1",
    torch.nn.functional.huber_loss: "huber",
}
_TARGETS = ("target", "label", "labels", "y")
# Samples of a data set that are put together at a time.
_SAMPLES = 1024


def train(
    module: torch.nn.Module,
    data: Any,
    *,
    test_data: Any = None,
    loss: Union[str, Callable[..., Any]] = "cross_entropy",
    optimizer: Union[str, torch.optim.Optimizer] = "adamw",
    start: bool = False,
    callbacks: Callbacks = (),
    progress: Optional[bool] = None,
    **options: Any,
) -> TorchRun:
    """Trains a module of PyTorch with function workers.

    The module is exported by ``torch.jit.script`` (give one that ``torch.jit.trace`` has made where that fails)
    and trained as ``torchscript:FILE`` is (``docs/how-to/deep.md``), from its present weights on. At the end it has the
    trained ones.

    Parameters
    ----------
    module : torch.nn.Module
        Its ``forward`` takes the inputs of a batch. Parameters of float32 are learned.
    data, test_data : TensorDataset, Dataset, IterableDataset, tuple, dict or str
        Tensors or arrays: ``(inputs …, target)``, or a dict of tensors with the target under ``"target"``, ``"y"``,
        ``"label"`` or ``"labels"``, whose other names are those of ``forward``'s arguments. The samples of another
        :class:`torch.utils.data.Dataset` are of the same forms, and are saved as shards first, in the memory of a
        part. A str is the place of a prepared set.
    loss : str, callable or module
        ``"cross_entropy"``, ``"bce_with_logits"``, ``"mse"``, ``"l1"``, ``"huber"``, the class or function of PyTorch of
        that kind, or anything that ``torch.jit.script`` takes and that makes one number for a batch, a mean over its rows,
        or one per row, of the module's output and the target.
    optimizer : str or torch.optim.Optimizer
        ``"sgd"``, ``"nesterov"``, ``"adam"``, ``"adamw"`` or ``"lars"``; or an optimizer of PyTorch (SGD, Adam, AdamW)
        with one group of parameters: all that are learned (``requires_grad_(False)`` freezes others). Its settings are
        used, not the state that it has already; at the end it has the state of the trained one.
    start : bool
        Return at once; ``run.wait()`` waits for the end.
    callbacks : callable or sequence of callables
        Called with the metrics of each epoch, as for :func:`lambdaml.train`.
    progress : bool, optional
        Whether to show a bar of progress, of shards too; by default where there is somebody to see it.
    **options
        Options of the job: ``epochs``, ``batch_size`` (of a worker), ``lr``, ``workers``, ``platform`` …
        ``weight_decay`` is the option ``l2``, which is for parameters of two and more dimensions.

    Returns
    -------
    TorchRun
        ``run.module`` is the trained module, ``run.optimizer_state`` the state of the optimizer.

    Raises
    ------
    lambdaml.Error
        As of :func:`lambdaml.train`; :class:`DataCorrupt` if the workers' libtorch cannot read the exported module.
    KeyboardInterrupt
        After Ctrl-C: the job was stopped. Of a run of ``start=True``, which ``run.wait()`` waits for, ``run.resume()``
        continues it.

    Examples
    --------
    >>> net = torch.nn.Linear(4, 3)                                            # doctest: +SKIP
    >>> run = lambdaml.torch.train(net, (X, y), epochs=5, lr=0.01, workers=2)  # doctest: +SKIP
    """
    called = _callbacks_of(callbacks)
    folder = Folder("torch-")
    try:
        chosen = dict(options)
        if "model" in chosen:
            raise InvalidArgument("the model is the module: leave model= out")
        if "weight_decay" in chosen:
            if chosen.get("l2") is not None:
                raise InvalidArgument("weight_decay is another name of l2: give one of them")
            chosen["l2"] = chosen.pop("weight_decay")
        target_of, loss_options, own_loss = _loss(loss)
        for name, value in {**loss_options, **_optimizer(optimizer)}.items():
            chosen.setdefault(name, value)
        exported, names = _exported(module, own_loss)
        if isinstance(optimizer, torch.optim.Optimizer):
            _require_same_parameters(optimizer, module, own_loss)
        path = os.path.join(folder.path, "module.pt")
        torch.jit.save(exported, path)
        make = _Sets(names, target_of, folder.path, _workers(chosen.get("workers")), progress)
        data, place = make.of(data, "data")
        test_data, test_place = make.of(test_data, "test")
        chosen.update(model="torchscript:" + path, data=place, test_data=test_place)
        engine_job = _lambdaml.train(
            "",
            None,
            _options.pairs(chosen),
            data=None if data is None else data._engine,
            test=None if test_data is None else test_data._engine,
        )
        run = TorchRun(engine_job, data=data, test_data=test_data, callbacks=called, progress=progress)
        run._begin(module, own_loss, optimizer, folder)
        return run if start else run.wait()
    except BaseException:
        folder.remove()
        raise


class TorchRun(Run):
    """A job that trains a module of PyTorch: see :class:`lambdaml.Run`.

    Attributes
    ----------
    module : torch.nn.Module
        The module, with the trained weights once the job is done.
    optimizer_state : dict or None
        Of the trained optimizer: by the name of a parameter a dict as PyTorch's (``step``, ``exp_avg``,
        ``exp_avg_sq``, ``momentum_buffer``). None before the end, and for an optimizer without a state.
    """

    module: Fresh[torch.nn.Module] = Fresh()
    optimizer_state: Fresh[Optional[dict[str, dict[str, torch.Tensor]]]] = Fresh()

    def _begin(self, module: torch.nn.Module, loss: Any, optimizer: Any, folder: Folder) -> None:
        self.module, self._loss, self._optimizer = module, loss, optimizer
        self.optimizer_state = None
        self._exported_to = folder

    def resume(
        self,
        *,
        data: Any = None,
        test_data: Any = None,
        start: bool = False,
        callbacks: Callbacks = (),
        progress: Optional[bool] = None,
        **options: Any,
    ) -> TorchRun:
        """Continues the run if it was stopped, with its data and module, which has the trained weights at the end.

        Parameters
        ----------
        data, test_data : None
            The run has its data.
        start : bool
            Return at once; ``run.wait()`` waits for the end.
        callbacks : callable or sequence of callables
            Called with the metrics of each epoch, as for :func:`lambdaml.train`.
        progress : bool, optional
            Whether to show a bar of progress.
        **options
            Options of the job that may be changed, as of :func:`lambdaml.resume`.

        Returns
        -------
        TorchRun
            Another one, of the same folder.
        """
        if data is not None or test_data is not None:
            raise InvalidArgument("a run of lambdaml.torch is resumed with its own data: give none")
        self._known_folder()  # else nothing is left to resume
        if not self._exported_to.is_there:
            raise InvalidArgument("the run is done: train its module again, which has the trained weights")
        again = super().resume(start=True, callbacks=callbacks, progress=False, **options)
        out = TorchRun(
            again._job,
            data=self._data,
            test_data=self._test_data,
            callbacks=again._callbacks,
            progress=progress,
            folder=self.folder,
        )
        out._begin(self.module, self._loss, self._optimizer, self._exported_to)
        return out if start else out.wait()

    def _take_end(self) -> None:
        super()._take_end()
        if isinstance(self._error, DataCorrupt) and "no TorchScript file" in str(self._error):
            self._error = DataCorrupt(
                f"the module, which PyTorch {torch.__version__} has exported, cannot be read by the libtorch of the "
                f"workers: {self._error}; export it with an older PyTorch, or use fewer new operators",
                self._error.causes,
            )
        if self.summary is not None:
            self._load()
        # A run that can be resumed needs its module's file, and its data.
        if self.status == "done" or self.folder is None:
            self._exported_to.remove()

    def _call_that_resumes(self, folder: str, options: str) -> str:
        return "run.resume(), of a run with start=True"

    def _load(self) -> None:
        assert self.folder is not None
        tensors, _ = _safetensors.read(os.path.join(self.folder, "model.safetensors"))
        state = {name: torch.from_numpy(values.copy()) for name, values in tensors.items()}
        if self._loss is not None:
            own = {name[len("loss.") :]: value for name, value in state.items() if name.startswith("loss.")}
            if isinstance(self._loss, torch.nn.Module):
                self._loss.load_state_dict(own, strict=False)
            state = {name[len("net.") :]: value for name, value in state.items() if name.startswith("net.")}
        with torch.no_grad():
            self.module.load_state_dict(state)
        self.optimizer_state = self._state_of_optimizer()
        if isinstance(self._optimizer, torch.optim.Optimizer) and self.optimizer_state:
            named = dict(self.module.named_parameters())
            for name, values in self.optimizer_state.items():
                if name in named:
                    own = {each: value.to(named[name].device) if each != "step" else value for each, value in values.items()}
                    self._optimizer.state[named[name]] = own

    def _state_of_optimizer(self) -> Optional[dict[str, dict[str, torch.Tensor]]]:
        """Of the newest checkpoint of worker 0; None if there is none with a state."""
        assert self.folder is not None and self.job_id is not None and self.start is not None
        folder = os.path.join(self.folder, "checkpoint", self.job_id)
        newest: Any = None
        for slot in (0, 1):
            path = os.path.join(folder, f"0_{self.start['workers']}.{slot}.safetensors")
            if os.path.exists(path):
                tensors, metadata = _safetensors.read(path)
                at = (int(metadata.get("epoch", 0)), int(metadata.get("round", 0)))
                if newest is None or at > newest[0]:
                    newest = at, tensors, metadata
        if newest is None or "tensors" not in newest[2] or "cut" in newest[2]:
            return None
        _, tensors, metadata = newest
        vectors = {
            "exp_avg": tensors.get("state.first_moment"),
            "exp_avg_sq": tensors.get("state.second_moment"),
            "momentum_buffer": tensors.get("state.velocity"),
        }
        vectors = {name: values for name, values in vectors.items() if values is not None and len(values)}
        if not vectors:
            return None
        out = {}
        learned = {name for name, parameter in self.module.named_parameters() if parameter.requires_grad}
        for piece in json.loads(metadata["tensors"]):
            name = piece["name"]
            if self._loss is not None:
                if not name.startswith("net."):
                    continue
                name = name[len("net.") :]
            if name not in learned:
                continue
            size = 1
            for length in piece["shape"]:
                size *= length
            begin = piece["begin"]
            own = {
                each: torch.from_numpy(values[begin : begin + size].copy()).reshape(piece["shape"])
                for each, values in vectors.items()
            }
            if "exp_avg" in own:
                own["step"] = torch.tensor(float(tensors["scalars"][0]))
            out[name] = own
        return out


def _workers(given: Any) -> int:
    """The option, which is needed before the engine reads it: shards are made for it."""
    if given is None:
        return 1
    text = _options.text_of_option("workers", given)
    return _checks.whole("workers", int(text) if text.isdecimal() else given, 1)


def _loss(loss: Any) -> tuple[Callable[[Any], Any], dict[str, Any], Any]:
    """(type of targets, options of the job, the loss to script or None)."""
    if isinstance(loss, str):
        if loss not in _LOSSES:
            raise InvalidArgument(
                f"loss must be one of {', '.join(_LOSSES)}, or a loss of PyTorch, not '{loss}'{suggestion(loss, _LOSSES)}"
            )
        return _target_of(loss), {"loss": loss}, None
    if not callable(loss):
        raise InvalidArgument(f"loss must be a name, a function or a module, not {shown(loss)}")
    if not isinstance(loss, torch.nn.Module):
        name = _FUNCTIONS.get(loss)
        return (_target_of(name), {"loss": name}, None) if name else (_as_it_is, {"loss": "module"}, loss)
    nn = torch.nn
    plain = getattr(loss, "reduction", "mean") == "mean" and getattr(loss, "weight", None) is None
    if plain and type(loss) is nn.CrossEntropyLoss:
        options = {"loss": "cross_entropy", "label_smoothing": loss.label_smoothing, "ignore_index": loss.ignore_index}
        return _target_of("cross_entropy"), options, None
    if plain and type(loss) is nn.BCEWithLogitsLoss and loss.pos_weight is None:
        return _target_of("bce_with_logits"), {"loss": "bce_with_logits"}, None
    names = {nn.MSELoss: "mse", nn.L1Loss: "l1"}
    if plain and type(loss) in names:
        return _target_of(names[type(loss)]), {"loss": names[type(loss)]}, None
    if plain and type(loss) is nn.HuberLoss and loss.delta == 1:
        return _target_of("huber"), {"loss": "huber"}, None
    return _as_it_is, {"loss": "module"}, loss


def _target_of(loss: str) -> Callable[[Any], Any]:
    def convert(array: Any) -> Any:
        if loss == "cross_entropy" and array.dtype.kind == "f":
            fractions = array[array != array.round()]  # NaN is one, too
            if fractions.size:
                raise InvalidArgument(f"the targets of cross_entropy are numbers of classes, and one is {fractions[0]:g}")
        return array.astype("int64" if loss == "cross_entropy" else "float32", copy=False)

    return convert


def _as_it_is(array: Any) -> Any:
    return array


def _optimizer(optimizer: Any) -> dict[str, Any]:
    """Options of the job for an optimizer: its name, or one of PyTorch."""
    if isinstance(optimizer, str):
        return {"optimizer": optimizer}
    if not isinstance(optimizer, torch.optim.Optimizer):
        raise InvalidArgument(f"optimizer must be a name or one of torch.optim, not {shown(optimizer)}")
    if len(optimizer.param_groups) != 1:
        raise InvalidArgument("optimizer has several groups of parameters: give one with a group")
    group = optimizer.param_groups[0]
    out = {"lr": group["lr"], "l2": group.get("weight_decay", 0)}
    for refused in ("amsgrad", "maximize"):
        if group.get(refused):
            raise InvalidArgument(f"optimizer: {refused} is not there in the workers' optimizers")
    if type(optimizer) is torch.optim.SGD:
        if group["dampening"]:
            raise InvalidArgument("optimizer: dampening is not there in the workers' optimizers")
        return {"optimizer": "nesterov" if group["nesterov"] else "sgd", "momentum": group["momentum"], **out}
    if type(optimizer) in (torch.optim.Adam, torch.optim.AdamW):
        first, second = group["betas"]
        name = "adam" if type(optimizer) is torch.optim.Adam else "adamw"
        out.update(adam_beta1=first, adam_beta2=second, adam_epsilon=group["eps"])
        return {"optimizer": name, **out}
    raise InvalidArgument(f"optimizer: the workers have no {type(optimizer).__name__}: use SGD, Adam or AdamW")


def _require_same_parameters(optimizer: torch.optim.Optimizer, module: torch.nn.Module, loss: Any) -> None:
    """Throws if the optimizer has other parameters than those that the workers would train."""
    own = dict(module.named_parameters())
    if isinstance(loss, torch.nn.Module):
        own.update({"loss." + name: parameter for name, parameter in loss.named_parameters()})
    given = set(optimizer.param_groups[0]["params"])
    if not given.issubset(own.values()):
        raise InvalidArgument("optimizer has parameters of another module: make it of the module's parameters()")
    missing = [name for name, parameter in own.items() if parameter.requires_grad and parameter not in given]
    if missing:
        others = f" and {len(missing) - 1} others" if len(missing) > 1 else ""
        raise InvalidArgument(
            f"optimizer lacks the parameter '{missing[0]}'{others}, which would be trained too: requires_grad_(False) "
            "freezes it"
        )


def _script(what: str, thing: Any) -> Any:
    if isinstance(thing, (torch.jit.ScriptModule, torch.jit.ScriptFunction)):
        return thing
    try:
        return torch.jit.script(thing)
    except Exception as error:
        lines = [line.strip() for line in str(error).splitlines() if line.strip()]
        raise InvalidArgument(
            f"{what} cannot be scripted: {lines[0] if lines else error!r}; give one that torch.jit.trace() has made, "
            "or change what torch.jit.script() names",
            str(error),
        ) from None


class _WithLoss(torch.nn.Module):
    def __init__(self, net: torch.nn.Module, loss: Any) -> None:
        super().__init__()
        self.net = net
        if isinstance(loss, torch.nn.Module):
            self.loss = loss


def _exported(module: torch.nn.Module, loss: Any) -> tuple[Any, list[str]]:
    """(the script, names of its inputs)."""
    if not isinstance(module, torch.nn.Module):
        raise InvalidArgument(f"module must be a torch.nn.Module, not {type(module).__name__}")
    for name, value in module.state_dict().items():
        if isinstance(value, torch.Tensor) and value.is_meta:
            raise InvalidArgument(f"the module's '{name}' has no values (device meta): load its weights first")
    net = _script("the module", module)
    names = [argument.name for argument in net.forward.schema.arguments[1:] if not argument.has_default_value()]
    if loss is None:
        return net, names
    names = [name + "_" if name in ("self", "target", "net", "loss") else name for name in names]
    own = _script("the loss", loss)
    whole = torch.jit.script(_WithLoss(net, own))
    inputs = ", ".join(names)
    # The loss is found here by its name where it is a function.
    call = "self.loss" if isinstance(own, torch.nn.Module) else "own"
    whole.define(f"def forward(self, {inputs}, target):\n    return {call}(self.net({inputs}), target)\n")
    whole.define(f"def predict(self, {inputs}):\n    return self.net({inputs})\n")
    return whole, names


class _Sets:
    """Data of PyTorch's forms as sets of tensors of the engine."""

    def __init__(
        self,
        names: list[str],
        target_of: Callable[[Any], Any],
        folder: str,
        workers: int,
        progress: Optional[bool],
    ) -> None:
        self._names, self._target_of = names, target_of
        self._folder, self._workers = folder, workers
        self._progress = progress

    def of(self, data: Any, name: str) -> tuple[Optional[Dataset], Optional[Place]]:
        """(Dataset, place): one of them is of data in memory, the other of sets elsewhere."""
        utils = torch.utils.data
        if data is None or isinstance(data, (str, os.PathLike)):
            return None, data
        if isinstance(data, utils.TensorDataset):
            data = tuple(data.tensors)
        if isinstance(data, (tuple, list, dict)):
            data = Dataset._of(self._make(self._batch(data)))
        if isinstance(data, Dataset):
            if data.rows == 0:
                raise InvalidArgument("the data set has no samples")
            return data, f"memory://{name}"
        if isinstance(data, (utils.Dataset, utils.DataLoader)):
            return None, self._save(data, name)
        raise InvalidArgument(
            f"data of the type {type(data).__name__} cannot be used: give a TensorDataset, a Dataset, tensors "
            "(inputs, target) or the place of a prepared set"
        )

    def _save(self, data: Any, name: str) -> str:
        batches: Iterable[dict[str, Any]] = self._batches(data)
        if isinstance(data, (torch.utils.data.IterableDataset, torch.utils.data.DataLoader)):
            batches = _parts.Spool(batches)
            rows = sum(_parts.rows_of(batch) for batch in batches)
        else:
            rows = len(data)
        if rows == 0:
            raise InvalidArgument("the data set has no samples")
        if name == "data" and rows < self._workers:
            raise InvalidArgument(f"{rows} samples are too few for {self._workers} workers; use fewer with workers=")
        told = counted(batches, rows, "samples saved", self._progress)
        return _parts.save(told, rows, min(self._workers, rows), os.path.join(self._folder, name), self._make)

    def _batches(self, data: Any) -> Iterator[dict[str, Any]]:
        if isinstance(data, torch.utils.data.DataLoader):
            for batch in data:
                yield self._batch(batch)
            return
        samples = []
        # Not by its iterator, which ends at an IndexError.
        each = iter(data) if isinstance(data, torch.utils.data.IterableDataset) else map(data.__getitem__, range(len(data)))
        for sample in each:
            samples.append(sample)
            if len(samples) == _SAMPLES:
                yield self._batch(_together(samples))
                samples = []
        if samples:
            yield self._batch(_together(samples))

    def _batch(self, batch: Any) -> dict[str, Any]:
        """Arrays by name, the target last."""
        if isinstance(batch, dict):
            names = [name for name in _TARGETS if name in batch]
            if len(names) != 1:
                raise InvalidArgument(f"a dict of tensors needs one target, under one of the names {', '.join(_TARGETS)}")
            inputs = {name: value for name, value in batch.items() if name != names[0]}
            target = batch[names[0]]
        elif not isinstance(batch, (tuple, list)) or not batch:
            raise InvalidArgument("the data have no target: give (inputs, target)")
        else:
            *values, target = batch
            if len(values) == 1 and isinstance(values[0], (tuple, list)):
                values = list(values[0])
            if not values:
                raise InvalidArgument("the data have no target: give (inputs, target)")
            names = self._names[: len(values)]
            names += [f"input{i}" for i in range(len(names), len(values))]
            inputs = dict(zip(names, values))
        out = {self._safe(name, value): _array(name, value) for name, value in inputs.items()}
        out["target "] = self._target_of(_array("target", target))
        rows = {name.strip(): len(value) for name, value in out.items()}
        if len(set(rows.values())) > 1:
            raise InvalidArgument(
                "the tensors have different numbers of rows: " + ", ".join(f"{name} {n}" for name, n in rows.items())
            )
        return out

    @staticmethod
    def _safe(name: str, value: Any) -> str:
        # Bytes of that name would be scaled as images are.
        return "image_" if name == "image" and str(value.dtype).endswith("uint8") else name

    @staticmethod
    def _make(batch: dict[str, Any]) -> _lambdaml.Dataset:
        batch = dict(batch)
        target = batch.pop("target ")
        return _lambdaml.tensors(list(batch.items()), target=("target", target))


def _together(samples: list[Any]) -> Any:
    """A batch of samples."""
    try:
        return torch.utils.data.default_collate(samples)
    except (RuntimeError, TypeError) as error:  # of other shapes, or no tensors and numbers
        raise InvalidArgument(f"the samples make no batch: {str(error).splitlines()[0]}") from None


def _array(name: str, value: Any) -> Any:
    """The numbers of a tensor, of a type that the engine has, in one piece."""
    import numpy

    if isinstance(value, torch.Tensor):
        value = value.detach().cpu().to_dense()
        value = (value.float() if value.dtype == torch.bfloat16 else value).numpy()
    value = numpy.asarray(value)
    if value.dtype.kind not in "biuf":
        raise InvalidArgument(f"the tensor '{name}' has values of the type {value.dtype}: give numbers")
    to = {"float64": "float32", "bool": "uint8", "int8": "int32", "int16": "int32", "uint16": "int32"}
    to.update({"uint32": "int64", "uint64": "int64"})
    if value.ndim == 0:
        raise InvalidArgument(f"the tensor '{name}' is one number: its first dimension are the rows")
    return numpy.ascontiguousarray(value, dtype=to.get(str(value.dtype), value.dtype))
