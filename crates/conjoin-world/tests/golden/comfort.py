"""Makes comfort.json: smoothed accelerations, jerks and yaw of random signals, by SciPy.

    pip install scipy==1.16.3
    python comfort.py > comfort.json

Windows and orders are those of NAVSIM v1's comfort metric (nuPlan's, with a window of all samples where
it asks for one); lengths other than 41 try even and short windows.
"""

import json

import numpy as np
from scipy.signal import savgol_filter

STEP = 0.1


def signals(long, lat, heading):
    n = len(long)
    unwrapped = np.unwrap(heading)

    def jerk(x):
        smooth = savgol_filter(x, min(8, n), 2)
        return savgol_filter(smooth, n, 2, deriv=1, delta=STEP)

    return [
        savgol_filter(long, n, 2),
        savgol_filter(lat, n, 2),
        jerk(np.hypot(long, lat)),
        jerk(long),
        savgol_filter(unwrapped, 5, 3, deriv=2, delta=STEP),
        savgol_filter(unwrapped, 5, 2, deriv=1, delta=STEP),
    ]


def main():
    random = np.random.default_rng(5)
    cases = []
    for n in [41, 41, 41, 11, 20, 6]:
        long, lat = random.normal(size=(2, n)).cumsum(axis=1) * 0.7
        heading = 3.0 + random.normal(size=n).cumsum() * 0.1
        heading = (heading + np.pi) % (2 * np.pi) - np.pi
        case = {"longitudinal": long, "lateral": lat, "heading": heading}
        case = {key: value.tolist() for key, value in case.items()}
        case["signals"] = [s.tolist() for s in signals(long, lat, heading)]
        cases.append(case)
    print(json.dumps(cases))


if __name__ == "__main__":
    main()
