"""Every name that this project registers with verl and vLLM, on one page.

Loaded in every process by ``import verl`` through the entry-point group ``verl.plugins``. verl swallows errors of plugins, so
:func:`missing_registrations` lets the driver prove that this page ran (:mod:`rlvr.launch.preflight`), and choosing the trainer
by name proves it in the process that trains.

| what | name in the configuration | code |
| --- | --- | --- |
| advantage estimator | ``algorithm.adv_estimator=psr_nsr`` | rlvr/methods, rlvr/training/advantage.py |
| policy losses | ``actor_rollout_ref.actor.policy_loss.loss_mode=decomposed`` … | rlvr/methods/losses |
| trainers | ``trainer.v1.trainer_mode=decomposed``, ``decomposed_async`` | rlvr/training/trainer.py, asynchronous.py |
| sample selection | ``trainer.v1.sampler.custom_sampler`` | rlvr/training/sampler.py |
| rollouts | ``actor_rollout_ref.rollout.agent.agent_loop_manager_class`` | rlvr/training/rollout.py |
| vLLM server | ``actor_rollout_ref.rollout.name=vllm`` (upstream's and one more method) | rlvr/training/vllm_server.py |
| the socket for the weights, one a run | nothing to choose | rlvr/training/weight_socket.py |
| TransferQueue's storage | ``transfer_queue.backend.storage_backend=SimpleStorage`` | rlvr/training/packed_rows.py |
| micro-batches and balance, without what is quadratic | nothing to choose | rlvr/training/balance.py, micro_batches.py |
| reward | ``reward.custom_reward_function`` | rlvr/training/reward.py |
| prompt template | ``${prompt_template:NAME}`` in YAML | rlvr/prompts.py |
| token budgets | ``${token_budget:N}``, ``${cpu_token_budget:N}``, ``${sequence_tokens:}`` in YAML | rlvr/launch/tokens.py |
| size of the weight bucket | ``${weight_bucket:N}`` in YAML | rlvr/launch/bucket.py |
| samples at once, threads | ``${max_num_seqs:}``, ``${threads:}`` in YAML | rlvr/launch/concurrency.py, cluster/cpus.py |
| validation before Ray | ``hydra.callbacks.preflight`` | rlvr/launch/preflight.py |
| attention over packed sequences | ``…override_config.attn_implementation=packed_sdpa`` | rlvr/training/attention.py |
| device, training engines | ``VERL_PLATFORM=cpu`` | rlvr/cpu |
| Ray workers forked from one process | ``hydra.callbacks.forkserver`` | rlvr/cpu/forkserver.py |
| vLLM's engine in the server's process | ``…rollout.engine_kwargs.vllm.distributed_executor_backend=uni`` | rlvr/cpu/inprocess.py |
| a KV cache out of the free memory | ``…rollout.engine_kwargs.vllm.worker_cls=rlvr.cpu.worker.Worker`` | rlvr/cpu/worker.py |
| FlashInfer's sampler where it can be compiled | vLLM entry point ``rlvr_flashinfer`` | rlvr/training/flashinfer.py |
| weights that stay loadable on the CPU | vLLM entry point ``rlvr_cpu`` | rlvr/cpu/vllm.py |
"""

import importlib
from types import ModuleType
from typing import Any

import wrapt
from omegaconf import OmegaConf

from rlvr import cpu, prompts
from rlvr.cluster.cpus import threads
from rlvr.launch import bucket, concurrency, tokens

# Each name is registered at the moment when verl itself imports the registry: a process that needs no trainer does not pay for
# importing one. (wrapt calls the function right after the named module was imported, or at once if it already is.)


@wrapt.when_imported("verl.trainer.ppo.core_algos")
def register_advantage_and_loss(core_algos: ModuleType) -> None:
    from rlvr.methods.losses import LOSSES
    from rlvr.training.advantage import compute_psr_nsr_advantage

    core_algos.register_adv_est("psr_nsr")(compute_psr_nsr_advantage)
    for name, loss in LOSSES.items():
        core_algos.register_policy_loss(name)(loss)


@wrapt.when_imported("verl.trainer.ppo.v1.trainer_sync")
def register_trainer(_: ModuleType) -> None:
    importlib.import_module("rlvr.training.trainer")


@wrapt.when_imported("verl.workers.rollout.replica")
def register_vllm_server(replica: ModuleType) -> None:
    def load() -> type:
        from rlvr.training.vllm_server import BatchedVLLMReplica

        return BatchedVLLMReplica

    replica.RolloutReplicaRegistry.register("vllm", load)


@wrapt.when_imported("transformers.modeling_utils")
def register_attention(_: ModuleType) -> None:
    from rlvr.training import attention

    attention.register()


@wrapt.when_imported("verl.utils.model")
def replace_value_model(model: Any) -> None:
    from rlvr.training.value_model import load_value_model

    model.load_valuehead_model = load_value_model


@wrapt.when_imported("verl.utils.torch_functional")
def replace_log_probs(torch_functional: Any) -> None:
    """verl takes this one where the flash-attn package is not installed."""
    from rlvr.training.token_log_probs import log_probs_of_labels

    torch_functional.logprobs_from_logits_v2 = log_probs_of_labels


@wrapt.when_imported("verl.utils.seqlen_balancing")
def replace_partitions(seqlen_balancing: Any) -> None:
    from rlvr.training.balance import largest_differencing

    seqlen_balancing.karmarkar_karp = largest_differencing


@wrapt.when_imported("verl.utils.tensordict_utils")
def replace_row_selection(tensordict_utils: Any) -> None:
    from rlvr.training import micro_batches

    tensordict_utils.index_select_tensor_dict = micro_batches.selecting_flat(tensordict_utils.index_select_tensor_dict)


@wrapt.when_imported("verl.single_controller.ray.base")
def patch_master_port(ray_workers: ModuleType) -> None:
    from rlvr.training import start

    start.patch_master_port(ray_workers)


@wrapt.when_imported("verl.utils.distributed")
def patch_timeout(distributed: ModuleType) -> None:
    from rlvr.training import start

    start.patch_timeout(distributed)


@wrapt.when_imported("verl.workers.engine.fsdp.transformer_impl")
def patch_loading(fsdp_engine: ModuleType) -> None:
    from rlvr.training import start

    start.patch_loading(fsdp_engine)


@wrapt.when_imported("verl.workers.rollout.vllm_rollout.vllm_rollout")
def patch_sender_of_weights(rollout: ModuleType) -> None:
    from rlvr.training import weight_socket

    weight_socket.patch_sender(rollout)


@wrapt.when_imported("verl.workers.rollout.vllm_rollout.vllm_async_server")
def patch_receiver_of_weights(server: ModuleType) -> None:
    from rlvr.training import weight_socket

    weight_socket.patch_receiver(server)


@wrapt.when_imported("transfer_queue.storage.managers.simple_storage_manager")
def install_packing_manager(_: ModuleType) -> None:
    from rlvr.training import packed_rows

    packed_rows.install_manager()


@wrapt.when_imported("transfer_queue.storage.bootstrap.simple_storage_bootstrap")
def install_packing_unit(bootstrap: ModuleType) -> None:
    from rlvr.training import packed_rows

    packed_rows.install_unit(bootstrap)


@wrapt.when_imported("verl.utils.checkpoint.fsdp_checkpoint_manager")
def patch_hf_folder(manager: ModuleType) -> None:
    from rlvr.training import hf_folder

    hf_folder.install(manager)


OmegaConf.register_new_resolver("prompt_template", prompts.chat_template, replace=True)
OmegaConf.register_new_resolver("token_budget", tokens.token_budget, replace=True)
OmegaConf.register_new_resolver("cpu_token_budget", tokens.cpu_token_budget, replace=True)
OmegaConf.register_new_resolver("sequence_tokens", tokens.whole_sequence, replace=True)
OmegaConf.register_new_resolver("weight_bucket", bucket.weight_bucket, replace=True)
OmegaConf.register_new_resolver("max_num_seqs", concurrency.max_num_seqs, replace=True)
OmegaConf.register_new_resolver("threads", threads, replace=True)

if cpu.chosen():
    importlib.import_module("rlvr.cpu.platform")

    @wrapt.when_imported("verl.utils.distributed")
    def patch_process_group(distributed: ModuleType) -> None:
        from rlvr.cpu import patches

        patches.patch_process_group(distributed)

    @wrapt.when_imported("verl.workers.engine.fsdp.transformer_impl")
    def register_engines(fsdp_engine: ModuleType) -> None:
        from rlvr.cpu import patches

        patches.patch_offload(fsdp_engine)
        importlib.import_module("rlvr.cpu.engine")


def missing_registrations() -> list[str]:
    """Names that this page should have registered and that verl does not know; empty when all is well."""
    from verl.trainer.ppo.core_algos import ADV_ESTIMATOR_REGISTRY, POLICY_LOSS_REGISTRY
    from verl.trainer.ppo.v1 import trainer_base

    from rlvr.methods.losses import LOSSES

    expected = {
        "advantage estimator psr_nsr": "psr_nsr" in ADV_ESTIMATOR_REGISTRY,
        **{f"policy loss {name}": name in POLICY_LOSS_REGISTRY for name in LOSSES},
        "trainer decomposed": "decomposed" in trainer_base.TRAINER_REGISTRY,
        "resolver prompt_template": OmegaConf.has_resolver("prompt_template"),
        "resolver token_budget": OmegaConf.has_resolver("token_budget"),
        "resolver cpu_token_budget": OmegaConf.has_resolver("cpu_token_budget"),
        "resolver weight_bucket": OmegaConf.has_resolver("weight_bucket"),
        "resolver max_num_seqs": OmegaConf.has_resolver("max_num_seqs"),
        "resolver threads": OmegaConf.has_resolver("threads"),
    }
    return [name for name, known in expected.items() if not known]
