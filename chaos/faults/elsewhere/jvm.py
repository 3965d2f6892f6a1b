"""JVMChaos: methods of a Java program are slow, throw, or return something else."""

from collections.abc import Iterator
from typing import Annotated, Literal

from pydantic import Field

from chaos.faults.elsewhere.kind import elsewhere
from chaos.faults.manifest import FaultObject, FaultSpec
from chaos.reading.documents import Problem
from chaos.reading.strict import Int32, Int64, Listed


class JvmSpec(FaultSpec):
    """What happens to which method."""

    action: Literal["latency", "return", "exception", "stress", "gc", "ruleData", "mysql"]
    """what happens"""
    class_: Annotated[str, Field(alias="class")] = ""
    """the class"""
    method: str = ""
    """and its method"""
    value_: Annotated[str, Field(alias="returnValue")] = ""
    """what it returns"""
    exception: str = ""
    """what it throws"""
    latency: Int64 = 0
    """milliseconds that it takes longer"""
    cpu_count: Int64 = 0
    """processors to keep busy"""
    mem_type: str = ""
    """memory to fill: stack or heap"""
    rule_data: str = ""
    """a rule of Byteman's"""
    name: str = ""
    """the rule's name"""
    port: Int32 = 9277
    """where the agent listens"""
    pid: Int64 = 0
    """the Java process"""
    mysql_connector_version: str = ""
    """5 or 8"""
    database: str = ""
    """of this database alone"""
    table: str = ""
    """of this table alone"""
    sql_type: str = ""
    """of statements of this type alone"""
    container_names: Listed[str] = ()
    """containers to hit; absent: the first"""


class JvmChaos(FaultObject):
    """A Chaos Mesh JVMChaos."""

    kind: Literal["JVMChaos"]
    """JVMChaos"""
    spec: JvmSpec
    """the fault"""


def _problems(spec: JvmSpec) -> Iterator[Problem]:
    match spec.action:
        case "stress":
            yield from _stress_problems(spec)
        case "exception" | "return" | "latency":
            own = {"exception": spec.exception, "return": spec.value_, "latency": spec.latency}[spec.action]
            key = {"exception": "exception", "return": "returnValue", "latency": "latency"}[spec.action]
            needed = {"class": spec.class_, "method": spec.method, key: own}
            for name, value in needed.items():
                if not value:
                    yield Problem((name,), f"expected this key: the action {spec.action} needs it")
        case "ruleData":
            if not spec.rule_data:
                yield Problem(("ruleData",), "expected this key: the action ruleData needs it")
        case "mysql":
            if spec.mysql_connector_version not in ("5", "8"):
                yield Problem(("mysqlConnectorVersion",), "expected '5' or '8'", spec.mysql_connector_version)
            if not spec.exception and not spec.latency:
                yield Problem(("exception",), "expected this key, or latency: the action mysql needs one")


def _stress_problems(spec: JvmSpec) -> Iterator[Problem]:
    if spec.cpu_count == 0 and not spec.mem_type:
        yield Problem(("cpuCount",), "expected this key, or memType: the action stress needs one")
    if spec.cpu_count > 0 and spec.mem_type:
        yield Problem(("memType",), "expected either this key or cpuCount, not both", spec.mem_type)
    if spec.mem_type not in ("", "stack", "heap"):
        yield Problem(("memType",), "expected stack or heap", spec.mem_type)


JVM = elsewhere(
    JvmChaos,
    "it needs a Java program, and no replica is one",
    plane="application",
    problems=_problems,
)
