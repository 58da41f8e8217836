"""Programs as people write them, in plain NumPy; nothing in this file knows of dagexec."""

from __future__ import annotations

import numpy as np


def rosenbrock(x):
    """Rosenbrock's banana-shaped valley in n dimensions; its minimum is 0 at (1, ..., 1)."""
    return np.sum(100.0 * (x[1:] - x[:-1] ** 2) ** 2 + (1.0 - x[:-1]) ** 2)


def logistic_loss(params, features, labels):
    """Mean negative log-likelihood of a logistic regression with an L2 penalty; labels are 0 or 1."""
    scores = features @ params["weights"] + params["bias"]
    likelihood = labels * scores - np.logaddexp(0.0, scores)
    return -np.mean(likelihood) + 0.01 * np.sum(params["weights"] ** 2)


def kalman_loss(params, observations):
    """Negative log-likelihood of observations under a linear-Gaussian state-space model, by a Kalman filter.

    `params` holds the transition A, the observation C, and the logarithms of the noises' standard deviations.
    """
    transition, observation = params["A"], params["C"]
    n, m = transition.shape[0], observation.shape[0]
    process_noise = np.exp(2 * params["log_q"]) * np.eye(n)
    sensor_noise = np.exp(2 * params["log_r"]) * np.eye(m)
    mean, covariance = np.zeros(n), np.eye(n)
    total = 0.0
    for y in observations:
        innovation = y - observation @ mean
        spread = observation @ covariance @ observation.T + sensor_noise
        gain = np.linalg.solve(spread, observation @ covariance).T
        _, log_determinant = np.linalg.slogdet(2 * np.pi * spread)
        total += 0.5 * (log_determinant + innovation @ np.linalg.solve(spread, innovation))
        mean = transition @ (mean + gain @ innovation)
        covariance = (
            transition @ (covariance - gain @ observation @ covariance) @ transition.T + process_noise
        )
    return total


def lotka_volterra(state, rates):
    """How hares and lynxes grow: the right-hand side of the differential equation."""
    hares, lynxes = state
    met = hares * lynxes
    return np.stack([rates[0] * hares - rates[1] * met, rates[2] * met - rates[3] * lynxes])


def rk4_loss(rates, start, measured, step=0.05):
    """Squared distance of a solution by the classical Runge-Kutta method from measurements, one a step."""
    state, loss = start, 0.0
    for target in measured:
        k1 = lotka_volterra(state, rates)
        k2 = lotka_volterra(state + 0.5 * step * k1, rates)
        k3 = lotka_volterra(state + 0.5 * step * k2, rates)
        k4 = lotka_volterra(state + step * k3, rates)
        state = state + step / 6.0 * (k1 + 2 * k2 + 2 * k3 + k4)
        loss = loss + np.sum((state - target) ** 2)
    return loss


def fft_convolution_loss(kernel, signal, wanted):
    """Squared error of a circular convolution, by the convolution theorem."""
    padded = np.concatenate([kernel, np.zeros(len(signal) - len(kernel))])
    convolved = np.fft.irfft(np.fft.rfft(signal) * np.fft.rfft(padded), n=len(signal))
    return np.mean((convolved - wanted) ** 2)


def gaussian_process_loss(params, x, y):
    """Negative log marginal likelihood of a Gaussian process with a squared-exponential kernel, by Cholesky.

    C. E. Rasmussen, C. K. I. Williams, Gaussian Processes for Machine Learning (2006), algorithm 2.1.
    """
    distances = (x[:, None] - x[None, :]) ** 2
    kernel = np.exp(2 * params["log_scale"]) * np.exp(-0.5 * distances / np.exp(2 * params["log_length"]))
    factor = np.linalg.cholesky(kernel + np.exp(2 * params["log_noise"]) * np.eye(len(x)))
    solved = np.linalg.solve(factor, y)
    return 0.5 * solved @ solved + np.sum(np.log(np.diag(factor))) + 0.5 * len(x) * np.log(2 * np.pi)
