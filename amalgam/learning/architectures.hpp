#pragma once

#include <memory>

#include "amalgam/description/architecture_options.hpp"
#include "amalgam/learning/network.hpp"

namespace amalgam::learning {

/// One function per architecture, each in the file of its name; make_network chooses.
std::shared_ptr<Network> build_network(const NetworkDescription& description,
                                       const MlpOptions& options);
std::shared_ptr<Network> build_network(const NetworkDescription& description,
                                       const CnnOptions& options);
std::shared_ptr<Network> build_network(const NetworkDescription& description,
                                       const ResnetOptions& options);
std::shared_ptr<Network> build_network(const NetworkDescription& description,
                                       const VitOptions& options);
std::shared_ptr<Network> build_network(const NetworkDescription& description,
                                       const DecoderOptions& options);

}  // namespace amalgam::learning
