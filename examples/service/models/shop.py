"""A request passes the shop, waits for a worker of the checkout, and while it holds one, for a connection of the database."""

import simpy


def build(env, u, p, rng):
    """Of SimPy: the processes are started, and a function comes back that gives the outputs since it was asked last."""
    workers, connections, shop_time, checkout_time, query_time, patience = p
    checkout = simpy.Resource(env, capacity=int(workers))
    database = simpy.Resource(env, capacity=int(connections))
    stays, inside = [], [0]
    counts = {"arrived": 0, "lost": 0}

    def request():
        arrived = env.now
        inside[0] += 1
        yield env.timeout(rng.exponential(shop_time))
        with checkout.request() as worker:
            answer = yield worker | env.timeout(patience)
            if worker in answer:
                yield env.timeout(rng.exponential(checkout_time))
                with database.request() as connection:
                    yield connection
                    yield env.timeout(rng.exponential(query_time * u[1]))
                stays.append(env.now - arrived)
            else:
                counts["lost"] += 1
        inside[0] -= 1

    def arrivals():
        while True:
            if u[0] <= 0:
                yield env.timeout(1.0)
                continue
            yield env.timeout(rng.exponential(1.0 / u[0]))
            counts["arrived"] += 1
            env.process(request())

    env.process(arrivals())
    shown = [0.0]

    def observe():
        if stays:
            shown[0] = sum(stays) / len(stays)  # what nobody has waited for yet is shown as it was
        share = counts["lost"] / counts["arrived"] if counts["arrived"] else 0.0
        stays.clear()
        counts.update(arrived=0, lost=0)
        return shown[0], min(share, 1.0), inside[0], len(database.queue)

    return observe
