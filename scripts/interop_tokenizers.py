# The tokenizer.json of a merged vocabulary in the real `tokenizers`: every token has the number of
# its row, and tokens and rows are those of the members. Usage: interop_tokenizers.py AMALGAM WORK
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
