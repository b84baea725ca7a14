# The tokenizer.json of a merged vocabulary in the real `tokenizers`: every token has the number of
# its row, and tokens and rows are those of the members. Texts become the same tokens with every kind of tokenizer
# (text_tokenizers.py). Usage: interop_tokenizers.py AMALGAM WORK
import json,os,subprocess,sys,shutil
import numpy as np
from safetensors.numpy import save_file, load_file
from tokenizers import Tokenizer, models, trainers, pre_tokenizers, decoders
A, W = sys.argv[1], sys.argv[2]
shutil.rmtree(W, ignore_errors=True)
os.makedirs(W)
texts={'a':["the cat sat on the mat "*5],'b':["a quick brown fox jumps; the dog "*5,"numbers 123 123"]}
def make(kind,name):
    if kind=='bpe':
        t=Tokenizer(models.BPE()); t.pre_tokenizer=pre_tokenizers.ByteLevel(add_prefix_space=False); t.decoder=decoders.ByteLevel()
        tr=trainers.BpeTrainer(vocab_size=300,special_tokens=[],initial_alphabet=pre_tokenizers.ByteLevel.alphabet())
    elif kind=='wordpiece':
        t=Tokenizer(models.WordPiece(unk_token='[UNK]')); t.pre_tokenizer=pre_tokenizers.Whitespace()
        tr=trainers.WordPieceTrainer(vocab_size=60,special_tokens=['[UNK]'])
    else:
        t=Tokenizer(models.Unigram()); t.pre_tokenizer=pre_tokenizers.Metaspace()
        tr=trainers.UnigramTrainer(vocab_size=30,unk_token='<unk>',special_tokens=['<unk>'])
    t.train_from_iterator(texts[name],tr)
    t.add_special_tokens(['<s>'] if name=='a' else ['<|im_end|>','<s>'])
    return t
for kind in ['bpe','wordpiece','unigram']:
    toks={}
    for name in 'ab':
        d=f'{W}/{kind}_{name}'; os.makedirs(d); t=make(kind,name); t.save(d+'/tokenizer.json'); toks[name]=t
        n=t.get_vocab_size(); rng=np.random.default_rng(ord(name))
        save_file({'model.embed_tokens.weight':rng.normal(size=(n,4)).astype(np.float32),'lm_head.weight':rng.normal(size=(n,4)).astype(np.float32),'model.norm.weight':np.ones(4,np.float32)},d+'/model.safetensors',metadata={'format':'pt'})
        json.dump({'vocab_size':n,'num_hidden_layers':0},open(d+'/config.json','w'))
    r=f'{W}/{kind}.yml'
    open(r,'w').write(f"merge_method: linear\nmodels:\n- model: {W}/{kind}_a\n  parameters: {{weight: 0.25}}\n- model: {W}/{kind}_b\n  parameters: {{weight: 0.75}}\ntokenizer_source: union\nchat_template: chatml\n")
    p=subprocess.run([A,'merge',r,'-o',f'{W}/{kind}_out','--quiet'],capture_output=True,text=True); 
    assert p.returncode == 0, p.stderr
    out=Tokenizer.from_file(f'{W}/{kind}_out/tokenizer.json')
    ids=out.get_vocab(); E=load_file(f'{W}/{kind}_out/model.safetensors')['model.embed_tokens.weight']
    ea=load_file(f'{W}/{kind}_a/model.safetensors')['model.embed_tokens.weight']; eb=load_file(f'{W}/{kind}_b/model.safetensors')['model.embed_tokens.weight']
    va=toks['a'].get_vocab(); vb=toks['b'].get_vocab()
    assert set(va)|set(vb)==set(ids),(set(va)|set(vb))^set(ids)
    assert sorted(ids.values())==list(range(len(ids))) and E.shape[0]==len(ids)
    assert all(ids[t]==i for t,i in va.items())
    for t,i in ids.items():
        ra=ea[va[t]] if t in va else eb[vb[t]]; rb=eb[vb[t]] if t in vb else ea[va[t]]
        np.testing.assert_allclose(E[i],.25*ra+.75*rb,atol=1e-6)
    for name in "ab":
        text = texts[name][0]
        # Tokens of the other model may make longer pieces; the text they stand for is the same.
        plain = [
            "".join(t.encode(text).tokens).replace("##", "") for t in (out, toks[name])
        ]
        assert plain[0] == plain[1] or "[UNK]" in plain[1], kind
    assert out.encode("the<|im_end|>").ids[-1] == ids["<|im_end|>"]
    assert json.load(open(f"{W}/{kind}_out/config.json"))["vocab_size"] == len(ids)
    print(f"tokenizers: {kind}: {len(ids)} tokens agree")


# Texts that become tokens: routers of a mixture of experts are the mean embeddings of their prompts' tokens, and with the
# identity as embedding they count the tokens. One expert per text.
def check_encodings():
    import text_tokenizers
    base = f"{W}/encodings/base"
    os.makedirs(base)
    for name, made in text_tokenizers.tokenizers(text_tokenizers.LINES * 3, 900):
        made.save(f"{base}/tokenizer.json")
        real = Tokenizer.from_file(f"{base}/tokenizer.json")
        size = real.get_vocab_size()
        write_dense(base, size)
        texts, counts = [], []
        for text in text_tokenizers.texts(text_tokenizers.LINES + ["a[MASK]b <mask>  c<unk>d CAFÉ"], 400):
            ids = real.encode(text, add_special_tokens=False).ids
            if ids and text not in texts:
                texts.append(text)
                counts.append(np.bincount(ids, minlength=size))
        experts = [{"source_model": base, "positive_prompts": [text]} for text in texts]
        json.dump({"base_model": base, "gate_mode": "cheap_embed", "experts": experts},
                  open(f"{W}/encodings/recipe.yml", "w"), ensure_ascii=False)
        run = subprocess.run([A, "moe", f"{W}/encodings/recipe.yml", "-o", f"{W}/encodings/out", "--overwrite", "--quiet"],
                             capture_output=True, text=True)
        assert run.returncode == 0, run.stderr
        gate = load_file(f"{W}/encodings/out/model.safetensors")["model.layers.0.block_sparse_moe.gate.weight"]
        for text, row, count in zip(texts, gate, counts):
            np.testing.assert_allclose(row, count / np.linalg.norm(count), atol=1e-6, err_msg=f"{name}: {text!r}")
        print(f"tokenizers: {name}: {len(texts)} texts have the same {sum(c.sum() for c in counts)} tokens")


def write_dense(folder, size):
    """A Llama of one layer whose embedding is the identity."""
    layer = "model.layers.0."
    shapes = {layer + "self_attn.q_proj": (8, size), layer + "self_attn.k_proj": (8, size), layer + "self_attn.v_proj": (8, size),
              layer + "self_attn.o_proj": (size, 8), layer + "mlp.gate_proj": (2, size), layer + "mlp.up_proj": (2, size),
              layer + "mlp.down_proj": (size, 2), layer + "input_layernorm": (size,),
              layer + "post_attention_layernorm": (size,), "model.norm": (size,)}
    tensors = {f"{name}.weight": np.zeros(shape, np.float32) for name, shape in shapes.items()}
    tensors["model.embed_tokens.weight"] = tensors["lm_head.weight"] = np.eye(size, dtype=np.float32)
    save_file(tensors, f"{folder}/model.safetensors", metadata={"format": "pt"})
    json.dump({"model_type": "llama", "architectures": ["LlamaForCausalLM"], "vocab_size": size, "hidden_size": size,
               "intermediate_size": 2, "num_hidden_layers": 1, "num_attention_heads": 1, "num_key_value_heads": 1,
               "head_dim": 8, "max_position_embeddings": 64, "rms_norm_eps": 1e-5, "rope_theta": 1e4,
               "hidden_act": "silu", "torch_dtype": "float32"}, open(f"{folder}/config.json", "w"))


check_encodings()
