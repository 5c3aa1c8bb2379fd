"""A linear support vector machine: the hyperplane of InterFaceGAN, without another dependency."""

import torch
from jaxtyping import Float
from torch import Tensor

OFFSET = 2.0  # the constant coordinate whose weight is the bias; large, so that the bias is hardly penalised
STEPS = 10000
TOLERANCE = 1e-5  # of the duality gap, relative to the objective


@torch.no_grad()
def fit(
    points: Float[Tensor, "n dim"], labels: Float[Tensor, " n"], cost: float = 1.0
) -> tuple[Float[Tensor, " dim"], float]:
    """Normal and bias that minimise |normal|^2 / 2 + cost * sum(hinge losses); labels are -1 and 1.

    The dual (Cortes and Vapnik, 1995), a quadratic programme in a box, by accelerated projected gradient
    (Nesterov) with restarts. The points are centred, which changes the bias but not the normal.
    """
    mean = points.double().mean(0)
    scale = (points - mean).norm(dim=1).mean()
    inputs = torch.cat([points.double() - mean, (OFFSET * scale).expand(len(points), 1)], dim=1)
    signed = inputs * labels.double()[:, None]
    gram = signed @ signed.T
    rate = 1 / _largest_eigenvalue(gram)
    alpha = torch.zeros(len(points), dtype=torch.float64)
    ahead, momentum = alpha.clone(), 1.0
    for step in range(STEPS):
        following = (ahead - rate * (gram @ ahead - 1)).clamp(0, cost)
        if ((ahead - following) @ (following - alpha)) > 0:
            momentum = 1.0  # it overshot
        grown = (1 + (1 + 4 * momentum**2) ** 0.5) / 2
        ahead = following + (momentum - 1) / grown * (following - alpha)
        alpha, momentum = following, grown
        if step % 50 == 49 and _gap(gram, alpha, cost) < TOLERANCE:
            break
    normal = signed.T @ alpha
    bias = normal[-1] * OFFSET * scale - normal[:-1] @ mean
    return normal[:-1].float(), float(bias)


def _largest_eigenvalue(gram: Float[Tensor, "n n"]) -> float:
    """By power iteration, a little above rather than below."""
    vector = torch.ones(len(gram), dtype=gram.dtype)
    for _ in range(30):
        vector = gram @ (vector / vector.norm())
    return 1.05 * float(vector.norm())


def _gap(gram: Float[Tensor, "n n"], alpha: Float[Tensor, " n"], cost: float) -> float:
    """Primal minus dual objective, relative to the primal."""
    margins = gram @ alpha
    length = float(alpha @ margins)
    primal = length / 2 + cost * float((1 - margins).clamp(min=0).sum())
    dual = float(alpha.sum()) - length / 2
    return (primal - dual) / max(primal, 1e-12)
