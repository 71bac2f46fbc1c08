"""Modules of PyTorch, trained by workers."""

import os
import pathlib
import time
import zipfile

import numpy
import pytest
import torch

import lambdaml
import lambdaml.torch

OPTIONS = {"batch_size": 16, "lr": 0.01, "valid_ratio": 0, "workers": 1, "checkpoint_every": 1}


def blobs(n=200, seed=0):
    random = numpy.random.default_rng(seed)
    y = random.integers(0, 3, n)
    X = random.normal(size=(n, 4)) + 3 * numpy.eye(3, 4)[y]
    return torch.tensor(X, dtype=torch.float32), torch.tensor(y)


class Net(torch.nn.Module):
    def __init__(self):
        super().__init__()
        self.hidden = torch.nn.Linear(4, 8)
        self.norm = torch.nn.BatchNorm1d(8)
        self.out = torch.nn.Linear(8, 3)

    def forward(self, x):
        return self.out(torch.relu(self.norm(self.hidden(x))))


def net(seed=0):
    torch.manual_seed(seed)
    return Net()


def accuracy(module, X, y):
    module.eval()
    with torch.no_grad():
        return (module(X).argmax(1) == y).float().mean().item()


@pytest.mark.parametrize("form", ["tensors", "TensorDataset", "dict", "arrays"])
def test_a_module_learns(form):
    X, y = blobs()
    data = {
        "tensors": (X, y),
        "TensorDataset": torch.utils.data.TensorDataset(X, y),
        "dict": {"x": X, "label": y},
        "arrays": (X.numpy().astype(numpy.float64), y.numpy().astype(numpy.int16)),
    }[form]
    module = net()
    before = accuracy(module, X, y)
    run = lambdaml.torch.train(module, data, test_data=data, epochs=5, **OPTIONS)
    assert run.status == "done" and run.module is module
    assert accuracy(module, X, y) == pytest.approx(run.summary["test_accuracy"], abs=0.011)
    assert accuracy(module, X, y) > max(0.9, before)
    # The file of the run is the module, too.
    assert accuracy(torch.jit.load(os.path.join(run.folder, "model.pt")), X, y) == accuracy(module, X, y)
    # Nothing of it is left but the run.
    assert run._exported_to and not os.path.exists(run._exported_to.path)


def test_one_worker_takes_the_steps_of_pytorch():
    """On one batch of all rows an epoch, so that the order of rows does not matter."""
    X, y = blobs(64)
    torch.manual_seed(1)
    ours = torch.nn.Linear(4, 3)
    theirs = torch.nn.Linear(4, 3)
    theirs.load_state_dict(ours.state_dict())
    options = {**OPTIONS, "batch_size": 64, "epochs": 7}
    run = lambdaml.torch.train(ours, (X, y), optimizer="adam", **options)
    optimizer = torch.optim.Adam(theirs.parameters(), lr=0.01)
    for _ in range(7):
        optimizer.zero_grad()
        torch.nn.functional.cross_entropy(theirs(X), y).backward()
        optimizer.step()
    for name, value in theirs.state_dict().items():
        torch.testing.assert_close(ours.state_dict()[name], value, atol=2e-6, rtol=1e-5)
    # The optimizer's state is PyTorch's, too.
    for name, parameter in theirs.named_parameters():
        state = optimizer.state[parameter]
        assert float(run.optimizer_state[name]["step"]) == float(state["step"]) == 7
        for each in ("exp_avg", "exp_avg_sq"):
            torch.testing.assert_close(run.optimizer_state[name][each], state[each], atol=1e-6, rtol=1e-4)


@pytest.mark.parametrize("kind", ["SGD", "AdamW"])
def test_an_optimizer_of_pytorch_goes_on_where_the_job_ended(kind):
    X, y = blobs(64)
    torch.manual_seed(1)
    ours, theirs = torch.nn.Linear(4, 3), torch.nn.Linear(4, 3)
    theirs.load_state_dict(ours.state_dict())
    make = {
        "SGD": lambda module: torch.optim.SGD(module.parameters(), lr=0.05, momentum=0.9),
        # Without decay: LambdaML decays weights and no biases.
        "AdamW": lambda module: torch.optim.AdamW(module.parameters(), lr=0.02, betas=(0.8, 0.99), weight_decay=0),
    }[kind]
    optimizer, reference = make(ours), make(theirs)
    options = {name: value for name, value in OPTIONS.items() if name != "lr"}
    lambdaml.torch.train(ours, (X, y), optimizer=optimizer, **{**options, "batch_size": 64, "epochs": 4})

    def step(module, optimizer):
        optimizer.zero_grad()
        torch.nn.functional.cross_entropy(module(X), y).backward()
        optimizer.step()

    for _ in range(4):
        step(theirs, reference)
    for _ in range(3):
        step(theirs, reference)
        step(ours, optimizer)
    for name, value in theirs.state_dict().items():
        torch.testing.assert_close(ours.state_dict()[name], value, atol=1e-5, rtol=1e-4)


class TwoInputs(torch.nn.Module):
    def __init__(self):
        super().__init__()
        self.embedding = torch.nn.Embedding(5, 4)
        self.out = torch.nn.Linear(4 + 2, 1)

    def forward(self, token, numbers):
        return self.out(torch.cat([self.embedding(token), numbers], dim=1))


class Scaled(torch.nn.Module):
    """A loss of the user's own, with a parameter."""

    def __init__(self):
        super().__init__()
        self.factor = torch.nn.Parameter(torch.ones(1))

    def forward(self, output, target):
        return (self.factor * output[:, 0] - target).abs() + 0.01 * (self.factor - 2) ** 2


def huber_like(output, target):
    return torch.nn.functional.smooth_l1_loss(output[:, 0], target)


@pytest.mark.parametrize("loss", [Scaled(), huber_like])
def test_losses_of_the_user_are_scripted(loss):
    random = numpy.random.default_rng(0)
    token, numbers = random.integers(0, 5, 300), random.normal(size=(300, 2)).astype("float32")
    y = (token - numbers @ [1, 2]).astype("float32")
    torch.manual_seed(0)
    module = TwoInputs()
    before = module.embedding.weight.clone()
    with torch.no_grad():
        error = (module(torch.tensor(token), torch.tensor(numbers))[:, 0].numpy() - y).std()
    run = lambdaml.torch.train(module, (token, numbers, y), loss=loss, epochs=30, **{**OPTIONS, "lr": 0.05})
    assert run.summary["epochs"] == 30
    with torch.no_grad():
        output = module(torch.tensor(token), torch.tensor(numbers))[:, 0]
    factor = 1 if loss is huber_like else float(loss.factor)
    assert (factor * output.numpy() - y).std() < 0.2 * error
    assert not torch.equal(before, module.embedding.weight)
    if loss is not huber_like:
        assert factor != 1
    assert set(run.optimizer_state) == {"embedding.weight", "out.weight", "out.bias"}


class Squares(torch.utils.data.Dataset):
    """Samples that are made when they are asked for."""

    def __init__(self, n):
        self.n = n
        self.most = 0

    def __len__(self):
        return self.n

    def __getitem__(self, i):
        x = torch.tensor([i / self.n, (i * 37 % self.n) / self.n])
        return x, x.sum() * 2


class Streamed(torch.utils.data.IterableDataset):
    def __iter__(self):
        squares = Squares(500)
        return iter([squares[i] for i in range(500)])


@pytest.mark.parametrize("form", ["map", "iterable", "loader", "subset"])
def test_data_sets_become_shards(form, capsys):
    squares = Squares(2500)
    data = {
        "map": squares,
        "iterable": Streamed(),
        "loader": torch.utils.data.DataLoader(squares, batch_size=100),
        "subset": torch.utils.data.Subset(squares, range(0, 2500, 2)),
    }[form]
    rows = {"iterable": 500, "subset": 1250}.get(form, 2500)
    torch.manual_seed(0)
    module = torch.nn.Sequential(torch.nn.Linear(2, 1), torch.nn.Flatten(0))
    run = lambdaml.torch.train(
        module, data, loss=torch.nn.MSELoss(), epochs=20_000 // rows, progress=True, **{**OPTIONS, "workers": 2, "lr": 0.05}
    )
    assert f"samples saved {rows}/{rows}" in capsys.readouterr().err
    assert run.start["rows"] == rows
    assert run.summary["train_rmse"] < 0.05
    numpy.testing.assert_allclose(module[0].weight.detach().numpy(), [[2, 2]], atol=0.1)


def test_a_stopped_run_goes_on_with_its_module(capsys):
    X, y = blobs()
    module = net()
    options = {**OPTIONS, "epochs": 40, "checkpoint_every": 1}
    run = lambdaml.torch.train(module, (X, y), callbacks=lambda metrics: metrics["epoch"] == 3, **options)
    assert run.status == "stopped" and os.path.exists(run._exported_to.path)
    capsys.readouterr()
    done = run.resume(start=True, progress=True).wait()
    assert done.status == "done" and accuracy(module, X, y) > 0.9
    assert "epoch 40/40" in capsys.readouterr().err
    assert not os.path.exists(run._exported_to.path)
    with pytest.raises(ValueError, match="the run is done: train its module again"):
        done.resume(epochs=50)
    with pytest.raises(ValueError, match="the run is done: train its module again"):
        run.resume()
    whole = net()
    lambdaml.torch.train(whole, (X, y), **options)
    for name, value in whole.state_dict().items():
        assert torch.equal(value, module.state_dict()[name])


def test_a_run_that_has_left_nothing_is_not_called_done():
    run = lambdaml.torch.train(net(), blobs(), epochs=1000, start=True, **OPTIONS).stop()
    assert run.status == "stopped" and run.folder is None
    with pytest.raises(ValueError, match="nothing is left to continue with: start the job again$"):
        run.resume()


def test_resume_of_the_package_loads_the_weights_too():
    X, y = blobs()
    module = net()
    run = lambdaml.torch.train(module, (X, y), epochs=40, callbacks=lambda metrics: metrics["epoch"] == 3, **OPTIONS)
    assert run.status == "stopped"
    with pytest.raises(ValueError, match="with its own data: give none"):
        lambdaml.resume(run, data=(X, y))
    done = lambdaml.resume(run)
    assert isinstance(done, lambdaml.torch.TorchRun) and accuracy(module, X, y) > 0.9


@pytest.mark.parametrize("error", [KeyError, KeyboardInterrupt])
def test_an_error_of_a_callback_leaves_no_temporary_folder(error, temporary):
    def broken(metrics):
        raise error

    X, y = blobs()
    loader = torch.utils.data.DataLoader(torch.utils.data.TensorDataset(X, y), batch_size=50)
    for data in ((X, y), loader):
        with pytest.raises(error):
            lambdaml.torch.train(net(), data, epochs=100, callbacks=broken, **OPTIONS)
        assert list(temporary.iterdir()) == []
    # Who has the run can resume it.
    module = net()
    run = lambdaml.torch.train(module, loader, epochs=40, callbacks=broken, start=True, **OPTIONS)
    with pytest.raises(error):
        run.wait()
    assert run.status == "stopped" and run.resume().status == "done" and accuracy(module, X, y) > 0.9
    assert list(temporary.iterdir()) == []


def test_a_run_that_nobody_waits_for_loads_what_was_learned():
    X, y = blobs()
    module = net()
    run = lambdaml.torch.train(module, (X, y), epochs=10, start=True, **OPTIONS)
    end = time.monotonic() + 60
    while run.optimizer_state is None:
        assert time.monotonic() < end
        time.sleep(0.05)
    assert accuracy(module, X, y) > 0.9


def test_traced_modules_are_taken_and_their_weights_loaded():
    X, y = blobs()
    traced = torch.jit.trace(net(), X)
    lambdaml.torch.train(traced, (X, y), epochs=5, **OPTIONS)
    assert accuracy(traced, X, y) > 0.9


def test_libtorch_is_never_loaded_into_the_process(run_python):
    """By a process that has no PyTorch of its own: the engine's library and libtorch stay out."""
    torch.jit.script(Net()).save("net.pt")
    X, y = blobs()
    numpy.savez("rows.npz", x=X.numpy(), y=y.numpy())
    code = """
import lambdaml, numpy
loaded = lambda: [line for line in open('/proc/self/maps') if 'torch' in line or 'libc10' in line]
run = lambdaml.train(data="rows.npz", model="torchscript:net.pt", epochs=2, lr=0.01, workers=2)
assert run.status == "done" and not loaded(), loaded()
for use in (lambda: run.model, lambda: lambdaml.Model.load(run.folder)):
    try:
        use()
    except lambdaml.Unavailable as error:
        assert "keeps libtorch out" in str(error) and "model.pt" in str(error), error
    else:
        assert False
try:
    lambdaml.train(data="rows.npz", model="torchscript:net.pt", platform="threads", channel="memory")
except lambdaml.InvalidArgument as error:
    assert "threads of this process cannot train deep models" in str(error), error
else:
    assert False
assert not loaded(), loaded()
print(run.folder)
"""
    folder = run_python(code).split()[-1]
    assert torch.jit.load(os.path.join(folder, "model.pt"))(X).shape == (200, 3)


def test_what_the_workers_libtorch_cannot_read_is_a_line(monkeypatch):
    """A file of a PyTorch that does not exist yet."""

    def save_newer(script, path):
        torch.jit.ScriptModule.save(script, path)
        with zipfile.ZipFile(path) as old:
            files = {name: old.read(name) for name in old.namelist()}
        with zipfile.ZipFile(path, "w") as new:
            for name, content in files.items():
                new.writestr(name, b"999\n" if name.endswith("/version") else content)

    monkeypatch.setattr(torch.jit, "save", save_newer)
    with pytest.raises(lambdaml.DataCorrupt, match="cannot be read by the libtorch of the workers: .*version 999") as error:
        lambdaml.torch.train(net(), blobs(), **OPTIONS)
    assert "\n" not in str(error.value)
    assert not pathlib.Path("runs").exists() or not os.listdir("runs")


class Unscriptable(torch.nn.Module):
    def forward(self, x):
        return eval("x")


class Samples(torch.utils.data.Dataset):
    def __init__(self, samples):
        self.samples = samples

    def __len__(self):
        return len(self.samples)

    def __getitem__(self, i):
        return self.samples[i]


def test_the_number_of_workers_is_read_as_that_of_other_jobs():
    X, y = blobs()
    samples = Samples([(x, int(label)) for x, label in zip(X, y)])
    for data in ((X, y), samples, torch.utils.data.DataLoader(samples, batch_size=50)):
        run = lambdaml.torch.train(net(), data, epochs=1, **{**OPTIONS, "workers": "2"})
        assert run.start["workers"] == 2
        for wrong in ("two", "", 0, -1, 2.5, True, [1, 2], numpy.ones(3), {}, object()):
            with pytest.raises((TypeError, ValueError), match="^workers: an option cannot|^workers must be a whole number from 1, not") as raised:
                lambdaml.torch.train(net(), data, **{**OPTIONS, "workers": wrong})
            assert "\n" not in str(raised.value)


@pytest.mark.parametrize("name", ["module", "data", "test_data", "loss", "optimizer", "callbacks", "epochs", "lr", "weight_decay"])
def test_a_wrong_type_is_one_line(name):
    X, y = blobs()
    for wrong in (3j, object(), {"a": object()}, torch.optim.Adam(net().parameters()), numpy.ones((200, 300)), lambda x: x):
        if name == "data" and callable(getattr(wrong, "shape", None)) or name == "callbacks" and callable(wrong):
            continue
        given = {**OPTIONS, "module": net(), "data": (X, y), name: wrong}
        with pytest.raises((TypeError, ValueError)) as raised:
            lambdaml.torch.train(**given)
        assert "\n" not in str(raised.value) and len(str(raised.value)) < 400, raised.value


def test_bad_arguments_are_named():
    X, y = blobs()
    tuned = net()
    part = torch.optim.Adam(tuned.out.parameters())
    train = lambda module=None, data=(X, y), **options: lambdaml.torch.train(module or net(), data, **{**OPTIONS, **options})
    for options, text in (
        ({"module": Unscriptable()}, "the module cannot be scripted"),
        ({"module": lambda x: x}, "module must be a torch.nn.Module"),
        ({"module": net().to("meta")}, "has no values .device meta.: load its weights first"),
        ({"loss": "cross_entrpy"}, "did you mean 'cross_entropy'"),
        ({"loss": 3}, "loss must be a name"),
        ({"optimizer": 3}, "optimizer must be a name"),
        ({"optimizer": "adamm"}, "adam"),
        ({"optimizer": torch.optim.Rprop(net().parameters())}, "the workers have no Rprop"),
        ({"optimizer": torch.optim.Adam(net().parameters(), amsgrad=True)}, "amsgrad"),
        ({"optimizer": torch.optim.Adam(net().parameters())}, "parameters of another module"),
        ({"module": tuned, "optimizer": part}, "lacks the parameter 'hidden.weight' and 3 others.*freezes it"),
        ({"data": (X, y + 0.5)}, "targets of cross_entropy are numbers of classes, and one is"),
        ({"data": (X, torch.nn.functional.one_hot(y) * 0.9)}, "numbers of classes, and one is 0.9"),
        ({"data": (X, y * float("nan"))}, "numbers of classes, and one is nan"),
        ({"data": X}, "data of the type Tensor"),
        ({"data": (X, y[:5])}, "different numbers of rows: x 200, target 5"),
        ({"data": {"x": X}}, "needs one target"),
        ({"data": (X[:, :2], y)}, "shape|size|mat1"),
        ({"data": (X * float("nan"), y)}, "NaN"),
        ({"data": (X, y + 7)}, "class|7"),
        ({"weight_decay": 0.1, "l2": 0.1}, "weight_decay is another name"),
        ({"epoch": 3}, "did you mean 'epochs'"),
        ({"model": "lr"}, "the model is the module"),
        ({"data": ()}, "the data have no target"),
        ({"data": (X[:0], y[:0])}, "has no samples"),
        ({"data": Samples([X[0], X[1]])}, "the data have no target"),
        ({"data": Samples([(X[0], 1), (X[1, :2], 0)])}, "the samples make no batch"),
        ({"data": Samples([(object(), 1)])}, "the samples make no batch"),
        ({"data": Samples([(X[0], 1)]), "workers": 2}, "1 samples are too few for 2 workers"),
    ):
        with pytest.raises(ValueError, match=text) as raised:
            train(**options)
        assert "\n" not in str(raised.value)
    assert not pathlib.Path("runs").exists() or not os.listdir("runs")


def test_an_optimizer_of_a_part_trains_that_part():
    X, y = blobs()
    module = net()
    for parameter in [*module.hidden.parameters(), *module.norm.parameters()]:
        parameter.requires_grad_(False)
    before = {name: value.clone() for name, value in module.named_parameters()}
    lambdaml.torch.train(module, (X, y), optimizer=torch.optim.Adam(module.out.parameters()), epochs=1, **OPTIONS)
    for name, value in module.named_parameters():
        assert torch.equal(value, before[name]) == (not name.startswith("out"))
