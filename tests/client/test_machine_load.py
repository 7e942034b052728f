"""What is said of a machine."""

from client.machine_load import Gpu, load, read

SAID = """NVIDIA H200, 37, 1024, 143771
NVIDIA A100-SXM4-40GB MIG 1g.5gb, [N/A], 10, 4864
No devices were found
NVIDIA Odd, 0, [Insufficient Permissions], 4864
"""


def test_lines_of_nvidia_smi_are_read_and_others_left_out():
    assert read(SAID) == [
        Gpu("NVIDIA H200", 0.37, 1024 << 20, 143_771 << 20),
        Gpu("NVIDIA A100-SXM4-40GB MIG 1g.5gb", None, 10 << 20, 4864 << 20),
    ]


def test_a_machine_says_what_it_has(tmp_path):
    now = load(tmp_path, "cpu")
    assert now.device == "CPU (chosen by the policy)"
    assert now.cores >= 1
    assert now.free > 0
    assert 0 < now.disk_free <= now.disk


def test_a_device_that_is_not_there_is_a_problem_to_be_shown(tmp_path):
    now = load(tmp_path, "cuda:99")
    assert "torch sees" in now.problem.message
    assert now.device == ""
