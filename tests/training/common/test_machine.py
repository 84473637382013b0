"""The machine in words, read from what Linux says of a processor."""

from __future__ import annotations

from training.common import machine

CPUINFO = """\
processor\t: 0
model name\t: Intel(R) Xeon(R) Platinum 8481C CPU @ 2.70GHz
flags\t\t: fpu sse2 fma avx avx2 avx512f avx512_bf16 amx_bf16 amx_tile amx_int8 avx512_vnni

processor\t: 1
model name\t: another
flags\t\t: fpu
"""


def test_the_processor_and_what_it_offers(tmp_path, monkeypatch):
    (tmp_path / "cpuinfo").write_text(CPUINFO)
    monkeypatch.setattr(machine, "CPUINFO", tmp_path / "cpuinfo")
    assert machine.processor() == "Intel(R) Xeon(R) Platinum 8481C CPU @ 2.70GHz"
    assert {"avx2", "avx512_bf16", "amx_bf16", "amx_int8"} < set(machine.instructions())
    assert "sse2" not in machine.instructions()
    devices = ["NVIDIA H200", "NVIDIA H200"]
    assert machine.hardware(devices).endswith("8481C CPU @ 2.70GHz; 2 x NVIDIA H200")


def test_another_system_has_a_processor_too(tmp_path, monkeypatch):
    monkeypatch.setattr(machine, "CPUINFO", tmp_path / "none")
    assert machine.processor()
    assert machine.instructions() == []
    assert machine.cpus() >= 1


def test_a_module_of_another_package_has_that_package_s_version(tmp_path, monkeypatch):
    """As `import tensorflow` has, where tensorflow-cpu is installed."""
    (tmp_path / "some_backend").mkdir()
    (tmp_path / "some_backend" / "__init__.py").write_text("")
    facts = tmp_path / "some_backend_cpu-2.5.dist-info"
    facts.mkdir()
    (facts / "METADATA").write_text("Metadata-Version: 2.1\nName: some-backend-cpu\nVersion: 2.5\n")
    (facts / "top_level.txt").write_text("some_backend\n")
    monkeypatch.syspath_prepend(tmp_path)
    assert machine.package_version("some_backend") == "2.5"
    assert machine.package_version("no_such_backend") is None
