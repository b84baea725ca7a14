"""The reference itself, against numbers worked out by hand and published test vectors."""

import unittest

import numpy as np

import bag_reference
import compare
import merge_reference
from abstention_reference import abstaining_dawid_skene
from reference_files import Stored, from_bytes, round_to, to_bytes
from reference_task_vectors import fnv1a64, philox4x32


def checkpoint(values, dtype="F32"):
    return {"x": Stored(dtype, np.array(values, dtype=np.float64))}


def merged(method, base, members, **parameters):
    settings = {name.rstrip("_"): compare.Setting(value) for name, value in parameters.items()}
    return merge_reference.merge(method, base, members, settings)["x"][0].tolist()


class Formats(unittest.TestCase):
    def test_every_bfloat16_and_float16_reads_back(self):
        bits = np.arange(65536, dtype="<u2")
        for dtype in ("BF16", "F16"):
            values = from_bytes(bits.tobytes(), dtype)
            finite = np.isfinite(values)
            again = to_bytes(round_to(values[finite], dtype), dtype)
            self.assertEqual(again, bits[finite].tobytes())

    def test_rounding_is_single_and_to_even(self):
        # 1 + 2^-8 is halfway between two bfloat16 numbers; the tail below float32 must still count.
        self.assertEqual(round_to([1 + 2.0**-8], "BF16"), [1.0])
        self.assertEqual(round_to([1 + 2.0**-8 + 2.0**-40], "BF16"), [1 + 2.0**-7])
        self.assertEqual(round_to([65519.9, 65520.0], "F16").tolist(), [65504.0, np.inf])


class Masks(unittest.TestCase):
    def test_philox_known_answers(self):
        # Random123's known-answer tests of philox4x32-10.
        zero, ones = [np.zeros(1, np.uint64)] * 4, [np.full(1, 0xFFFFFFFF, np.uint64)] * 4
        self.assertEqual(
            [int(w[0]) for w in philox4x32((0, 0), zero)], [0x6627E8D5, 0xE169C58D, 0xBC57AC4C, 0x9B00DBD8]
        )
        self.assertEqual(
            [int(w[0]) for w in philox4x32((0xFFFFFFFF, 0xFFFFFFFF), ones)],
            [0x408F276D, 0x41C83B0E, 0xA20BC7C6, 0x6D5451FD],
        )

    def test_fnv_known_answers(self):
        self.assertEqual(fnv1a64(""), 0xCBF29CE484222325)
        self.assertEqual(fnv1a64("foobar"), 0x85944171F73967E8)


class WorkedExamples(unittest.TestCase):
    base = checkpoint([0, 0, 0, 0])
    members = [checkpoint([4, -1, 0.5, 2], "F64"), checkpoint([-2, 3, 1, 0.1], "F64")]
    agreeing = [checkpoint([4, -1, 0.5, 2]), checkpoint([2, 3, 1, 0.1])]

    def test_task_arithmetic(self):
        self.assertEqual(merged("task_arithmetic", self.base, self.members, weight=1.0), [2, 2, 1.5, 2.1])

    def test_ties(self):
        self.assertEqual(merged("ties", self.base, self.members, weight=1.0, density=0.5), [4, 3, 0, 2])
        self.assertEqual(merged("ties", self.base, self.agreeing, weight=1.0, density=0.5), [3, 3, 0, 2])
        self.assertEqual(
            merged("ties", self.base, self.agreeing, weight=1.0, density=0.5, normalize=False), [6, 3, 0, 2]
        )

    def test_ties_of_the_paper(self):
        base = checkpoint([0] * 5, "F64")
        members = [checkpoint(x, "F64") for x in ([0.5, -0.1, 0.3, 0.02, -0.4], [-0.6, 0.2, 0.35, -0.01, 0.1])]
        out = merged("ties", base, members, weight=1.0, density=0.6, dialect="paper")
        np.testing.assert_allclose(out, [-0.6, 0.2, 0.325, 0, -0.4], rtol=1e-15)

    def test_equal_magnitudes_keep_the_lowest_index(self):
        out = merged("ties", self.base, [checkpoint([1, -1, 1, -1])], weight=1.0, density=0.5)
        self.assertEqual(out, [1, -1, 0, 0])

    def test_robust_rules_on_one_coordinate(self):
        members = [checkpoint([x], "F64") for x in (0, 1, 2, 3, 100)]
        expected = {"median": 2, "trimmed_mean": 2, "meamed": 1.5, "phocas": 1.5, "krum": 1, "multi_krum": 1.5}
        for method, value in expected.items():
            self.assertEqual(merged(method, None, members, f=1), [value], method)
        members = [checkpoint([x], "F64") for x in (0, 1, 2, 3, 4, 5, 100)]
        self.assertEqual(merged("bulyan", None, members, f=1), [2])

    def test_flag_rejects_the_lone_direction(self):
        members = [checkpoint(x, "F64") for x in ([1, 0], [1, 0], [0, 5])]
        out = merged("flag", checkpoint([0, 0], "F64"), members, m=1)
        np.testing.assert_allclose(out, [2 / 3, 0], atol=1e-12)

    def test_slerp_of_orthogonal_units(self):
        out = merged("slerp", checkpoint([1, 0]), [checkpoint([0, 1])], t=0.5)
        np.testing.assert_allclose(out, [np.sqrt(0.5)] * 2, rtol=1e-15)

    def test_variance_is_restored_about_the_mean(self):
        # The mean (2.5, 2, 2, 2.5) has variance 1/12, the members 5/3 and 2: s = sqrt(22) = 4.690416.
        members = [{"x": Stored("F64", np.array([x], float))} for x in ([1, 2, 3, 4], [4, 2, 1, 1])]
        out = merged("variance_corrected", None, members)
        np.testing.assert_allclose(out, [[3.422604, 1.077396, 1.077396, 3.422604]], atol=1e-6)


class Labels(unittest.TestCase):
    def test_bags_of_one_feature(self):
        # Bags {x = 1, 3} with mean response 3 and {x = 2, 2} with 2: A = 16, B = 2, c = 20.
        table = bag_reference.BagTable([[1], [3], [2], [2]], [0, 0, 1, 1], [3, 2])
        for rho, theta in ((0, 1.25), (0.5, 20 / 17), (1, 20 / 18)):
            self.assertAlmostEqual(bag_reference.fit(table, rho, intercept=False)[1][0], theta, 12)

    def test_losses_of_bags(self):
        # f = 1, 3, 2, 2: means 2, 2 miss 3, 2; both rows of the first bag are 1 away from their mean.
        table = bag_reference.BagTable([[1], [3], [2], [2]], [0, 0, 1, 1], [3, 2])
        self.assertEqual(bag_reference.losses(table, 0, np.array([1.0])), (0.5, 1.0, 0.5))

    def test_silence_as_evidence(self):
        # Class 0 has 1.5 of 4 items; function 0 abstains on 1/3 of it and 1/5 of class 1, function 1 on 1/3, 3/5.
        votes = np.array([[0, 0], [1, -1], [1, 1], [-1, -1]])
        posterior, silence = abstaining_dawid_skene(votes, 2, 1)
        np.testing.assert_allclose(silence, [[1 / 3, 1 / 5], [1 / 3, 3 / 5]], atol=1e-9)
        self.assertAlmostEqual(posterior[3, 0], 5 / 14, 9)


if __name__ == "__main__":
    unittest.main()
