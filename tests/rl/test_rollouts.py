"""Runner: an episode that must not be trained on is refused, and the others go on."""

from rollout_stubs import Prompted, runner

from graphs.policies.base import Completion


def test_an_episode_with_a_picture_too_many_is_refused_and_told(tiny_policy, monkeypatch, caplog):
    rolling = runner(tiny_policy)

    complete = Prompted.complete

    async def invents(self, turns, images, **asked):
        done = await complete(self, turns, images, **asked)
        # an episode has a thousand seeds, one for each turn
        if asked["sampling"].seed // 1000 != 1000 or "<answer>" not in done.text:
            return done
        ids = (self._batching.chatml.image_pad, *done.token_ids)
        return Completion(done.text, "stop", done.prompt_tokens, len(ids), ids, (0.0, *done.logprobs))

    monkeypatch.setattr(Prompted, "complete", invents)
    first, second, third = rolling.run([(0, 0), (0, 1000), (5, 20)])
    assert first is not None
    assert third is not None
    assert second is None
    assert "image tokens come in runs" in caplog.text
