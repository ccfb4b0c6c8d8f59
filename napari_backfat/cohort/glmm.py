"""Logistic regression with a random intercept per site, by maximum marginal likelihood.

No permissively licensed Python library gives this estimate: statsmodels has it as variational Bayes
or as a mode only (both too certain about a variance), GPBoost as a Laplace approximation in a large
compiled package, and the reference implementation, R's lme4, is under the GPL. With one random
intercept the integral has one dimension per site, so adaptive Gauss-Hermite quadrature on top of
scipy is short and, in the number of its nodes, exact.

Sources: Pinheiro & Bates 1995 (J Comput Graph Stat 4:12) for the adaptive quadrature, of which the
Laplace approximation is the case of one node; Bates et al. 2015 (J Stat Softw 67:1) for lme4, whose
`glmer` the results agree with.
"""

from __future__ import annotations

import math
import warnings
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
from scipy.optimize import minimize
from scipy.special import expit, gammaln

from napari_backfat.model.errors import BackfatError

if TYPE_CHECKING:
    from numpy.typing import NDArray

    Array = NDArray[np.float64]

NODES = 9
_BOUNDARY = 1e-3  # a standard deviation of the log-odds below this is reported as none
_NEWTON, _SETTLED = 60, 1e-10
_HESSIAN_STEP = 1e-4


@dataclass(frozen=True, eq=False)
class MixedFit:
    """Maximum likelihood estimates.

    Attributes
    ----------
    beta : ndarray of float64, shape (p,)
        Fixed effects, log-odds per unit of the design's columns.
    covariance : ndarray of float64, shape (p, p)
        Of `beta`, from the inverse of the observed information of all parameters.
    sigma : float
        Standard deviation of the sites' log-odds; 0 without sites or at the boundary.
    sigma_se : float or None
        Its standard error; None without sites and at the boundary, where it has no meaning.
    log_likelihood : float
        Marginal, with the binomial constants.
    site_effects : ndarray of float64, shape (sites,)
        Most probable log-odds of each site against the median site; empty without sites.
    """

    beta: Array
    covariance: Array
    sigma: float
    sigma_se: float | None
    log_likelihood: float
    site_effects: Array

    @property
    def standard_errors(self) -> Array:
        """Standard errors of `beta`."""
        return np.sqrt(np.diag(self.covariance))


class Likelihood:
    """Marginal log-likelihood of ``logit P = X beta + sigma u_site`` with ``u ~ N(0, 1)``.

    Parameters
    ----------
    design : ndarray of float64, shape (n, p)
        Fixed-effect columns.
    successes, trials : ndarray of float64, shape (n,)
        Binomial counts; for one person per row 0 or 1, and 1.
    site : ndarray of int, shape (n,)
        Site of each row, 0 .. sites - 1, every one present.
    nodes : int
        Quadrature nodes per site; 1 is the Laplace approximation.
    """

    def __init__(
        self, design: Array, successes: Array, trials: Array, site: NDArray[np.intp], nodes: int
    ) -> None:
        order = np.argsort(site, kind="stable")
        self.design = np.ascontiguousarray(design[order])
        self.successes, self.trials, self.site = successes[order], trials[order], site[order]
        self._starts = np.flatnonzero(np.diff(self.site, prepend=-1))
        self._modes = np.zeros(self._starts.size)
        points, weights = np.polynomial.hermite_e.hermegauss(nodes)
        # The density of u is folded into the log weights: integral of f = sum w exp(x^2/2) f.
        self._points = points
        self._log_weights = np.log(weights) + points**2 / 2 - 0.5 * math.log(2 * math.pi)
        self.constant = float(
            np.sum(
                gammaln(self.trials + 1)
                - gammaln(self.successes + 1)
                - gammaln(self.trials - self.successes + 1)
            )
        )

    def value_and_gradient(self, theta: Array) -> tuple[float, Array]:
        """Return the log-likelihood (without constants) and its gradient.

        Parameters
        ----------
        theta : ndarray of float64, shape (p + 1,)
            Fixed effects, then sigma; the likelihood is even in sigma.
        """
        eta, sigma = self.design @ theta[:-1], float(theta[-1])
        modes, curvature = self._find_modes(eta, sigma)
        if self._points.size == 1:
            return self._laplace(eta, sigma, modes, curvature)
        spread = 1 / np.sqrt(curvature)
        u = modes[:, None] + spread[:, None] * self._points  # (sites, nodes)
        total = eta[:, None] + sigma * u[self.site]
        log_terms = self.successes[:, None] * total - self.trials[:, None] * np.logaddexp(0, total)
        joint = np.add.reduceat(log_terms, self._starts, axis=0) - u**2 / 2 + self._log_weights
        top = joint.max(axis=1, keepdims=True)
        parts = np.exp(joint - top)
        mass = parts.sum(axis=1, keepdims=True)
        value = float(np.sum(top + np.log(mass)) + np.log(spread).sum())
        weight = parts / mass
        residual = self.successes[:, None] - self.trials[:, None] * expit(total)
        mean_residual = np.einsum("ik,ik->i", weight[self.site], residual)
        by_site = np.add.reduceat(residual, self._starts, axis=0)
        gradient = np.append(self.design.T @ mean_residual, np.sum(weight * u * by_site))
        return value, gradient

    def modes(self, theta: Array) -> Array:
        """Return the most probable log-odds of each site, shape (sites,)."""
        return float(theta[-1]) * self._find_modes(self.design @ theta[:-1], float(theta[-1]))[0]

    def _find_modes(self, eta: Array, sigma: float) -> tuple[Array, Array]:
        """Newton's method for all sites at once; returns modes and negative curvatures."""
        u = self._modes
        for _ in range(_NEWTON):
            p = expit(eta + sigma * u[self.site])
            slope = sigma * self._sum(self.successes - self.trials * p) - u
            curvature = 1 + sigma**2 * self._sum(self.trials * p * (1 - p))
            step = slope / curvature
            u = u + np.clip(step, -2, 2)  # a start far away must not overshoot
            if np.abs(step).max() < _SETTLED:
                break
        self._modes = u
        p = expit(eta + sigma * u[self.site])
        return u, 1 + sigma**2 * self._sum(self.trials * p * (1 - p))

    def _laplace(self, eta: Array, sigma: float, u: Array, curvature: Array) -> tuple[float, Array]:
        """One node, with the exact gradient: the modes and curvatures move with the parameters."""
        total = eta + sigma * u[self.site]
        p = expit(total)
        w = self.trials * p * (1 - p)
        third = w * (1 - 2 * p)
        log_terms = self.successes * total - self.trials * np.logaddexp(0, total)
        value = float(log_terms.sum() - (u**2).sum() / 2 - np.log(curvature).sum() / 2)
        residual = self.successes - self.trials * p
        sum_w, sum_third = self._sum(w), self._sum(third)
        weighted = np.add.reduceat(w[:, None] * self.design, self._starts, axis=0)
        cubed = np.add.reduceat(third[:, None] * self.design, self._starts, axis=0)
        mode_beta = -sigma * weighted / curvature[:, None]
        mode_sigma = (self._sum(residual) - sigma * u * sum_w) / curvature
        curve_beta = sigma**2 * (cubed + sigma * mode_beta * sum_third[:, None])
        curve_sigma = 2 * sigma * sum_w + sigma**2 * sum_third * (u + sigma * mode_sigma)
        beta = self.design.T @ residual - 0.5 * (curve_beta / curvature[:, None]).sum(axis=0)
        own = float(np.sum(u * self._sum(residual) - 0.5 * curve_sigma / curvature))
        return value, np.append(beta, own)

    def _sum(self, values: Array) -> Array:
        """Sum within each site."""
        return np.add.reduceat(values, self._starts)


def fit_logistic(design: Array, successes: Array, trials: Array | None = None) -> MixedFit:
    """Fit without sites, by statsmodels (iteratively reweighted least squares).

    Parameters
    ----------
    design : ndarray of float64, shape (n, p)
        Columns, the constant included.
    successes, trials : ndarray of float64, shape (n,)
        Binomial counts; `trials` is 1 everywhere by default.

    Returns
    -------
    MixedFit
        With `sigma` 0 and no site effects.

    Raises
    ------
    BackfatError
        If the fit does not converge.
    """
    import statsmodels.api as sm

    trials = np.ones_like(successes) if trials is None else trials
    endog = np.column_stack([successes, trials - successes]) if trials.max() > 1 else successes
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # what they announce is checked below, and by diagnose
        result = sm.GLM(endog, design, family=sm.families.Binomial()).fit(tol=1e-12)
    if not result.converged or not np.isfinite(result.params).all():
        raise BackfatError(
            "The regression did not converge; leave out inputs that determine the outcome or one "
            "another."
        )
    covariance = np.asarray(result.cov_params())
    return MixedFit(
        np.asarray(result.params), covariance, 0.0, None, float(result.llf), np.empty(0)
    )


def fit_mixed(
    design: Array,
    successes: Array,
    site: NDArray[np.intp],
    trials: Array | None = None,
    nodes: int = NODES,
    start: MixedFit | None = None,
    *,
    rough: bool = False,
) -> MixedFit:
    """Fit with a random intercept per site.

    Parameters
    ----------
    design : ndarray of float64, shape (n, p)
        Columns, the constant included.
    successes, trials : ndarray of float64, shape (n,)
        Binomial counts; `trials` is 1 everywhere by default.
    site : ndarray of int, shape (n,)
        Codes 0 .. sites - 1, every one present.
    nodes : int, optional
        Quadrature nodes; 1 is the Laplace approximation.
    start : MixedFit, optional
        A similar fit to start from.
    rough : bool, optional
        For resampling: stop within a hundredth of a standard error, and keep the covariance of
        `start` in place of an own one.

    Returns
    -------
    MixedFit

    Raises
    ------
    BackfatError
        If the search does not converge.
    """
    trials = np.ones_like(successes) if trials is None else trials
    start = start or fit_logistic(design, successes, trials)
    # Search in directions in which the information is about the unit matrix: quick and safe,
    # whatever the units of the columns.
    root = np.linalg.cholesky(start.covariance)
    likelihood = Likelihood(design @ root, successes, trials, site, nodes)
    options = {"gtol": 1e-2 if rough else 1e-5}
    sites = int(site.max()) + 1
    own = start.sigma or 0.2
    scale = max(own, 0.05) / math.sqrt(2 * sites)

    def negative(x: Array) -> tuple[float, Array]:
        value, gradient = likelihood.value_and_gradient(np.append(x[:-1], x[-1] * scale))
        gradient[-1] *= scale
        return -value, -gradient

    first = np.append(np.linalg.solve(root, start.beta), own / scale)
    found = minimize(negative, first, jac=True, method="BFGS", options=options)
    if np.abs(found.jac).max() > 0.05 or not np.isfinite(found.fun):
        raise BackfatError(
            "The regression with sites did not converge; try it without --site, or with fewer "
            "inputs."
        )
    theta = np.append(found.x[:-1], found.x[-1] * scale)
    sigma = abs(float(theta[-1]))
    boundary = sigma < _BOUNDARY
    if rough:
        fixed, sigma_se = start.covariance, start.sigma_se
    else:
        covariance = np.linalg.inv(_information(likelihood, theta, scale, fixed_only=boundary))
        fixed = root @ covariance[:-1, :-1] @ root.T if not boundary else root @ covariance @ root.T
        sigma_se = float(np.sqrt(covariance[-1, -1]))
    return MixedFit(
        root @ theta[:-1],
        fixed,
        0.0 if boundary else sigma,
        None if boundary else sigma_se,
        -float(found.fun) + likelihood.constant,
        np.zeros(sites) if boundary else likelihood.modes(theta),
    )


def _information(likelihood: Likelihood, theta: Array, scale: float, *, fixed_only: bool) -> Array:
    """Negative Hessian by central differences of the gradient, symmetrised."""
    count = theta.size - 1 if fixed_only else theta.size
    steps = np.full(theta.size, _HESSIAN_STEP)
    steps[-1] *= scale
    rows = []
    for i in range(count):
        move = np.zeros(theta.size)
        move[i] = steps[i]
        up = likelihood.value_and_gradient(theta + move)[1]
        down = likelihood.value_and_gradient(theta - move)[1]
        rows.append((down - up)[:count] / (2 * steps[i]))
    hessian = np.array(rows)
    return np.asarray((hessian + hessian.T) / 2)
