"""The dispatcher as a whole: what is started in which order, and stopped in reverse.

    async with Dispatcher(config) as dispatcher:
        results = await dispatcher.send([SendRequest(to="+491701234567", text="Your code is 4711", sender="Bank")])

Only this file knows all rooms; each of them is given what it needs.
"""
