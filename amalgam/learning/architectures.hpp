#pragma once

#include <memory>

#include "amalgam/learning/network.hpp"
#include "amalgam/learning/options.hpp"

namespace amalgam::learning {

/// One function per architecture, each in the file of its name; make_network chooses.
std::shared_ptr<Network> make_mlp(const NetworkDescription& description, Options& options);
std::shared_ptr<Network> make_cnn(const NetworkDescription& description, Options& options);
std::shared_ptr<Network> make_resnet(const NetworkDescription& description, Options& options);
std::shared_ptr<Network> make_vit(const NetworkDescription& description, Options& options);
std::shared_ptr<Network> make_llama(const NetworkDescription& description, Options& options);

}  // namespace amalgam::learning
