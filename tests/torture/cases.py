"""Which runs there are, and which of them a sample takes."""
import itertools
import random
from dataclasses import dataclass, fields

from faults import FAULTS

PATTERNS_WITHOUT_EQUAL_BYTES = ("async",)
OPTIMIZERS_THAT_WAIT_FOR_ALL = ("lbfgs",)
FORGETFUL_STORES = ("memcached", "redis", "ps")
UNSERVED_STORES = ("file", "memory")


@dataclass(frozen=True)
class Case:
    """One run: a fault, when it strikes, and the job that it strikes."""
    store: str
    optim: str
    pattern: str
    workers: int
    fault: str
    moment: str

    def __str__(self):
        return f"{self.store}/{self.optim}/{self.pattern}/{self.workers}/{self.fault}@{self.moment}"

    @staticmethod
    def parse(text):
        job, _, moment = text.partition("@")
        store, optim, pattern, workers, fault = job.split("/")
        return Case(store, optim, pattern, int(workers), fault, moment)

    @property
    def is_served(self):
        return self.store not in UNSERVED_STORES

    @property
    def forgets(self):
        """Whether the server's restart loses what it held."""
        return self.store in FORGETFUL_STORES

    @property
    def has_equal_bytes(self):
        return self.pattern not in PATTERNS_WITHOUT_EQUAL_BYTES


def all_cases(stores, optimizers, patterns, workers=(2, 3, 4)):
    """Every run that makes sense."""
    for job in itertools.product(stores, optimizers, patterns, workers):
        _, optim, pattern, _ = job
        if optim in OPTIMIZERS_THAT_WAIT_FOR_ALL and pattern in PATTERNS_WITHOUT_EQUAL_BYTES:
            continue
        for name, make in FAULTS.items():
            fault = make()
            for moment in fault.moments:
                case = Case(*job, name, moment)
                if fault.applies(case) and (case.is_served or moment in ("start", "rounds")):
                    yield case


def cover(cases, strength, seed):
    """A small sample of `cases` in which every value of each field (strength 1), or every pair of
    values of two fields (strength 2), occurs that occurs in `cases`. Greedy: the next is one that
    brings most that is new."""
    rng = random.Random(seed)
    cases = list(cases)
    rng.shuffle(cases)
    names = [field.name for field in fields(Case)]

    def combinations(case):
        return frozenset(tuple((name, getattr(case, name)) for name in group)
                         for group in itertools.combinations(names, strength))

    brings = {case: combinations(case) for case in cases}
    missing = set().union(*brings.values())
    # A case never brings more than it did before, so most need not be counted again.
    bounds = {case: len(combined) for case, combined in brings.items()}
    sample = []
    while missing:
        best, most = None, 0
        for case in sorted(cases, key=bounds.get, reverse=True):
            if bounds[case] <= most:
                break
            bounds[case] = len(brings[case] & missing)
            if bounds[case] > most:
                best, most = case, bounds[case]
        sample.append(best)
        missing -= brings[best]
        bounds[best] = 0
    return sample


def one_of_each_job(cases, seed):
    """Every fault × store × optimizer × pattern, at a moment and with workers drawn."""
    groups = {}
    for case in cases:
        groups.setdefault((case.store, case.optim, case.pattern, case.fault), []).append(case)
    rng = random.Random(seed)
    return [rng.choice(group) for group in groups.values()]
